"""The stream protocol without I/O: messages and times in, actions out."""
