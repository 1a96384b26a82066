"""Other servers on the same job, each in an environment of its own: ``make bench-peers``."""
