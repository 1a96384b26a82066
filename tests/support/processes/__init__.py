"""The environment, open files and name look-ups of processes."""
