"""``potoo cameras``."""
