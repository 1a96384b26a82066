"""Stand-ins of what speaks MQTT."""
