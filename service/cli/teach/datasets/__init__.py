"""Commands on datasets of labelled photos."""
