"""Names of inputs and outputs in a request."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidTensor
from service.core.tensors.inference import check_names


def test_duplicate_or_excessive_names_are_refused() -> None:
    check_names("input", ["a", "b"])
    with pytest.raises(InvalidTensor):
        check_names("input", ["a", "b", "a"])
    with pytest.raises(InvalidTensor):
        check_names("input", list(map(str, range(65))))
