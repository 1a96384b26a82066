"""Measures how good a version is on images, and calibrates it."""
