"""Routes of teaching."""
