"""Certificates for a network of one's own, where no public authority gives any."""
