"""Devices and ports of samples over TCP."""
