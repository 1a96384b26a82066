"""``/v1/sensors``: sensors, their events, and single windows."""
