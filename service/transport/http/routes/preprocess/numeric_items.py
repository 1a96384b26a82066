"""Numeric items of a call of many items: ``{"rows": [[...]], "scaler": "NAME", ...}``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from pydantic import ValidationError

from schemas.errors import InvalidParameter, Violation
from schemas.preprocess.numeric import NumericItemOptions
from service.preprocess.numbers import Scaling
from service.preprocess.numeric.json_rows import MEMBERS, rows_of_json
from service.preprocess.numeric.rows import RowLimits, Rows
from service.transport.http.middleware.errors import violations_of

NUMBER_BYTES = 32
"""Memory of one parsed number: work on many of them runs in the pool."""
_POINTER = "/numeric"


def numeric_item(value: object, limits: RowLimits) -> tuple[NumericItemOptions, Callable[[], Rows]]:
    """Return the options of an item, and a function that returns its rows.

    Raises:
        InvalidParameter: it is no object, or has unknown or invalid members.
    """
    if not isinstance(value, dict):
        fault = Violation(_POINTER, "Input should be an object with rows")
        raise InvalidParameter(violations=(fault,))
    given = {name: member for name, member in value.items() if name not in MEMBERS}
    try:
        options = NumericItemOptions.model_validate(given)
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, _POINTER)) from None
    rows = {name: member for name, member in value.items() if name in MEMBERS}
    return options, partial(rows_of_json, rows, limits, _POINTER)


def scaling_of(options: NumericItemOptions) -> Scaling:
    """Return what an item's options say of its rows."""
    offset, scale = (
        None if given is None else np.array(given, np.float64)
        for given in (options.offset, options.scale)
    )
    return Scaling(options.method, options.impute, offset, scale, options.window, options.stride)


def count_of(value: object) -> int:
    """Return about how many numbers an item has."""
    rows = value.get("rows") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows:
        return 0
    return len(rows) * (len(rows[0]) if isinstance(rows[0], list) else 1)
