"""Failures that clients see when a part behind the balancer is lost: ``make bench-failures``."""
