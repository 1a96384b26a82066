"""Rate limits, and lock-out after failed sign-ins."""
