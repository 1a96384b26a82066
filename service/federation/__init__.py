"""Federations: one head from the sums of sites that keep their photos."""
