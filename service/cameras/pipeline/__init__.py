"""The steps of a frame, without I/O: part, motion, agreement, pace."""
