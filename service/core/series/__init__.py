"""Preprocessing of windows of sensor samples."""
