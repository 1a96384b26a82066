"""Sensors: streams of float32 samples that become windows, answers and states."""
