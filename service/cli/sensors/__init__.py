"""``potoo sensors``."""
