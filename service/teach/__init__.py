"""Teaching: datasets of labelled photos, and models made from them."""
