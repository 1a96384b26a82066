"""Sensors over MQTT: samples in, answers and states out."""
