"""``potoo models``: its verbs, a file each."""
