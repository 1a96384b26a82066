"""Image formats: recognition, removal of unneeded data, and interpretation of pixels."""
