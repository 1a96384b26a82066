"""Heads of several sites: sums in one exchange, and rounds of FedAvg beside them."""
