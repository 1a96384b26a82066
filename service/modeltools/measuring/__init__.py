"""Evaluation and calibration of a version on images."""
