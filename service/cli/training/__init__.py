"""``potoo sites``: what a site does to train a model with others."""
