"""What the server costs, as ratios taken in one run: ``make bench``."""
