"""Receivers and senders of the events of cameras."""
