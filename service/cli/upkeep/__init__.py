"""``potoo backup``, ``potoo restore`` and ``potoo doctor``."""
