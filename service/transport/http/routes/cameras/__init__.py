"""``/v1/cameras``: cameras and their events."""
