"""What crosses a wire or a process. Imports nothing of ours."""
