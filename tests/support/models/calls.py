"""Contexts of calls that tests make without a transport."""

from __future__ import annotations

from service.core.scheduling.call_context import CallContext

ANYONE = CallContext("", 1, "test")
