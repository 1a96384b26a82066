"""Rows of one call: scaled by statistics, cut into windows."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import InvalidParameter, PayloadTooLarge
from schemas.preprocess.numeric import Method
from service.preprocess.numbers import Scaling, parse_numbers, scaled
from service.preprocess.numeric.rows import InvalidRows, RowLimits, Rows
from service.preprocess.numeric.windows import windows_of

ROWS = Rows(np.array([[1.0, 10.0], [2.0, np.nan], [3.0, 30.0], [6.0, 50.0]]), ("a", "b"))
LIMITS = RowLimits(12, 8, 64)


@pytest.mark.parametrize(
    ("method", "offset", "scale"),
    [
        ("standardise", [3, 30], [np.sqrt(3.5), np.sqrt(800 / 3)]),
        ("min-max", [1, 10], [5, 40]),
        ("robust", [2.5, 30], [2, 20]),
    ],
)
def test_rows_are_scaled_by_their_own_statistics(
    method: Method, offset: list[float], scale: list[float]
) -> None:
    found = scaled(ROWS, Scaling(method))
    np.testing.assert_allclose(found.offset, offset)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.scale, scale)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.values, (ROWS.values_NC - offset) / scale, atol=1e-15)
    assert (found.nan_counts.tolist(), found.imputed_counts.tolist()) == ([0, 1], [0, 0])


@pytest.mark.parametrize("method", ["standardise", "min-max", "robust"])
def test_rows_are_scaled_by_given_numbers(method: Method) -> None:
    given = Scaling(method, offset=np.array([1.0, 10.0]), scale=np.array([2.0, 0.0]))
    found = scaled(ROWS, given)
    np.testing.assert_allclose(found.values, (ROWS.values_NC - [1, 10]) / [2, 1])
    assert found.scale is not None
    assert found.scale.tolist() == [2, 1]


def test_nan_is_imputed_before_the_scaling() -> None:
    for impute, filled in (("mean", 30.0), ("median", 30.0)):
        found = scaled(ROWS, Scaling("min-max", impute))  # type: ignore[arg-type]
        assert found.values[1, 1] == pytest.approx((filled - 10) / 40)
        assert found.imputed_counts.tolist() == [0, 1]


def test_a_column_without_numbers_is_nan() -> None:
    rows = Rows(np.array([[1.0, np.nan], [3.0, np.nan]]))
    for method in ("standardise", "min-max", "robust"):
        for impute in ("none", "mean", "median"):
            found = scaled(rows, Scaling(method, impute))
            assert np.isfinite(found.values[:, 0]).all()
            assert np.isnan(found.values[:, 1]).all()
            assert found.imputed_counts.tolist() == [0, 0]


def test_without_a_method_rows_stay_as_they_are() -> None:
    np.testing.assert_array_equal(scaled(ROWS, Scaling()).values, ROWS.values_NC)


def test_results_that_overflow_are_refused() -> None:
    rows = Rows(np.array([[1.0], [1e308]]), ("a",))
    given = Scaling("standardise", offset=np.array([0.0]), scale=np.array([1e-10]))
    with pytest.raises(InvalidRows, match="Row 2, column 'a': the scaled number is too large"):
        scaled(rows, given)
    with pytest.raises(InvalidRows, match="Row 2, column 'a': 1e\\+308 is too large"):
        scaled(rows, Scaling("standardise"))


def test_given_numbers_must_fit_the_columns() -> None:
    given = Scaling("robust", offset=np.zeros(3), scale=np.ones(3))
    with pytest.raises(InvalidRows, match="There are 3 numbers of offset, but 2 columns"):
        scaled(ROWS, given)


def test_numbers_of_the_query_are_parsed() -> None:
    assert parse_numbers(None, "/query/offset") is None
    found = parse_numbers("1,-2.5, 3e4", "/query/offset")
    assert found is not None
    assert found.tolist() == [1, -2.5, 3e4]
    for text in ("", "1,", "a", "nan", "inf", "1e999"):
        with pytest.raises(InvalidParameter):
            parse_numbers(text, "/query/offset")


def test_windows_may_overlap() -> None:
    values_NC = np.arange(12.0).reshape(6, 2)
    found = windows_of(values_NC, 3, 2, LIMITS)
    assert found.tolist() == [values_NC[:3].tolist(), values_NC[2:5].tolist()]
    assert windows_of(values_NC, 4, None, LIMITS).shape == (1, 4, 2)
    assert windows_of(values_NC, 6, 1, LIMITS).shape == (1, 6, 2)


def test_windows_are_bounded() -> None:
    with pytest.raises(InvalidRows, match="A window has 7 rows, but there are 6"):
        windows_of(np.zeros((6, 1)), 7, None, LIMITS)
    with pytest.raises(PayloadTooLarge):
        windows_of(np.zeros((8, 1)), 3, 1, LIMITS)
