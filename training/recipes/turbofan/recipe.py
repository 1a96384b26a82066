"""Settings of the turbofan classifier."""

from __future__ import annotations

NAME, VERSION = "turbofan", 1
LABELS = ("healthy", "degrading", "critical")
"""More than 125 flights are left, more than 30, or fewer."""
LENGTH, CHANNELS = 30, 24
"""Flights in a window; 3 settings and 21 sensors of each flight."""
FOLDS = 5
"""One fifth of the training engines validates: it fits no weights."""
SEED = 0
MEMBERS, HIDDEN, DECAY = 8, 24, 0.003
"""Networks that are averaged, tanh units of each, weight decay: chosen by ``--choose``."""
CHOICES = ((12, 0.001), (12, 0.002), (12, 0.003), (12, 0.005), (24, 0.003))
"""Pairs of hidden units and decay that ``--choose`` compares."""
ITERATIONS = 250
ANSWERED_ACCURACY = 0.9
"""Share of right answers above the abstention threshold (validation)."""
LOGISTIC_DECAY = 0.001
DATASET = "C-MAPSS FD001 (Saxena and Goebel, 2008; NASA, US Government work), windows of 30 flights"
