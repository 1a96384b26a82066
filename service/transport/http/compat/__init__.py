"""Drop-in endpoints for clients of other servers, each enabled by a setting."""
