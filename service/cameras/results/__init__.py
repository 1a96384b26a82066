"""Where events of cameras are sent."""
