"""Preparation of images, numbers and texts as models take them; knows no transport."""
