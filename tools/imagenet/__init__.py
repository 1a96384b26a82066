"""Measures the default model ``imagenet``, fits its thresholds and writes its card."""
