"""``potoo users``, ``clients``, ``token`` and ``keys``."""
