"""``potoo datasets``, ``potoo teach``."""
