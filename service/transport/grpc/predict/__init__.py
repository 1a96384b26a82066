"""``potoo.v1.ModelService``: images and texts."""
