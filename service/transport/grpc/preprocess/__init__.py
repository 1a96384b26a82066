"""``potoo.v1.PreprocessService``: images, numbers and texts as models take them."""
