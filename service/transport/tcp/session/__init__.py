"""State machine of one framed connection. Pure: it neither waits, nor reads a clock, nor sends."""
