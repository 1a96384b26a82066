"""Keys on disk, and tokens: signed and verified."""
