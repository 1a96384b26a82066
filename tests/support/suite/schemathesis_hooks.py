"""Hooks of Schemathesis for ``tests/contract/test_conformance.py``, which loads this file by path."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis import Case, HookContext, SerializationContext


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Leave out forms with an empty list: it sends nothing, so that the server cannot refuse it.

    Schemathesis considers this itself only for forms without files.
    """
    del context
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    return [] not in case.body.values()


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: SerializationContext, value: object) -> bytes:
    """Send what is no text as JSON."""
    del context
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace")
