"""Sensors in ``make bench-streams``: windows a second, age of answers, cost of receiving."""
