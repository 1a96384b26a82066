"""What events of cameras are delivered to, and what they come from."""
