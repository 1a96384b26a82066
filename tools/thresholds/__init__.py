"""Autoscaling manifests, generated from the measurements of ``potoo calibrate``."""
