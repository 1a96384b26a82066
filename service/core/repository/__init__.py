"""Models on disk: versions, policies, and how a version is published."""
