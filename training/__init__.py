"""Recipes that make the models Potoo ships; its own environment, never imported by the server."""
