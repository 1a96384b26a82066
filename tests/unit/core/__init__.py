"""The model server without a network."""
