"""Texts: normal form, tokens, tensors."""
