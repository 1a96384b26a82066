"""What crosses a wire or a process."""
