"""Samples become windows: pure, without a clock, a task or I/O."""
