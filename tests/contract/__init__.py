"""What must agree with something else: an oracle, a table, the other side of a wire."""
