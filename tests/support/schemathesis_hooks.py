"""Hooks of Schemathesis for ``tests/contract/test_conformance.py``, which loads this file by path."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, HookContext


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Leave out forms with an empty list: it sends nothing, so that the server cannot refuse it.

    Schemathesis considers this itself only for forms without files.
    """
    del context
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    return [] not in case.body.values()
