"""Preprocessing as a service: images, numbers and texts as models take them. Knows no transport."""
