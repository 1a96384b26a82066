"""The simulator of autoscaling, against theory, hand-worked examples and its own invariants."""
