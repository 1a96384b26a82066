"""Certificates for private networks, where public authorities issue none."""
