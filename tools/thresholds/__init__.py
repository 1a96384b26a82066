"""Autoscaling manifests, made from the measurements of ``potoo calibrate``."""
