"""``potoo backup`` and ``potoo restore``."""
