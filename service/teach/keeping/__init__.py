"""Keeps photos that are worth a label: of cameras, and of requests where that is turned on."""
