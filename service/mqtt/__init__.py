"""Connections with an MQTT broker."""
