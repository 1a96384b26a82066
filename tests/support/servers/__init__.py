"""Servers that tests start: Potoo itself, its stores, issuers, stand-ins, a browser."""
