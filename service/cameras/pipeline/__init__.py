"""What happens to a frame, without I/O: part, motion, agreement, pace."""
