"""Connections with a server: framed TCP, or MQTT through a broker."""
