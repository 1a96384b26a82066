"""Fitted scalers equal scikit-learn's; their graphs, in ONNX Runtime, equal them to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from observability.onnx_runtime import ort
from schemas.preprocess.numeric import Impute, ScalerKind
from service.core.numeric.column_map import ColumnMap
from service.core.numeric.scaler_graph import (
    INPUT,
    NoScaler,
    ScalerFacts,
    ScalerGraph,
    graph_bytes,
    read_graph,
)
from service.preprocess.numeric.rows import InvalidRows, Rows
from service.preprocess.scalers.fitting import TooManyDistinct, fit
from service.preprocess.scalers.sums import RowSums, sums_of

Array = NDArray[np.float64]
KINDS: tuple[ScalerKind, ...] = ("standard", "min-max", "robust")
IMPUTES: tuple[Impute, ...] = ("none", "mean", "median")


def sums(values_NC: Array, most: int = 100_000) -> RowSums:
    return sums_of(Rows(np.ascontiguousarray(values_NC)), most)


def table(seed: int, rows: int = 60) -> Array:
    """Columns of several scales, one constant, with holes."""
    random = np.random.default_rng(seed)
    values_NC = random.normal([0, 1e9, -3, 5], [1, 1, 1e-6, 1e6], (rows, 4))
    values_NC[:, 2] = 0.1
    values_NC[random.random(values_NC.shape) < 0.15] = np.nan
    values_NC[:2] = [[0, 1e9, 0.1, 5], [1, 1e9 + 1, 0.1, -5]]
    return values_NC


def sklearn_scaler(kind: ScalerKind) -> StandardScaler | MinMaxScaler | RobustScaler:
    return {"standard": StandardScaler, "min-max": MinMaxScaler, "robust": RobustScaler}[kind]()


def run(data: bytes, rows_NC: Array) -> Array:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {INPUT: rows_NC})[0]
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("impute", IMPUTES)
@given(seed=st.integers(0, 2**32 - 1))
def test_fitted_scalers_equal_scikit_learn(kind: ScalerKind, impute: Impute, seed: int) -> None:
    values_NC = table(seed)
    other = sklearn_scaler(kind).fit(values_NC)
    filled = values_NC
    if impute != "none":
        filled = SimpleImputer(strategy=impute).fit_transform(values_NC)
    expected = other.transform(filled)
    found = fit(sums(values_NC), kind, impute).graph.map(values_NC)
    # A column of mean 1e9 has seven digits after the point: scikit-learn's own rounding.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    for place in (0, 2, 3):
        np.testing.assert_allclose(found[:, place], expected[:, place], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_with_the_same_parameters_results_equal_to_the_bit(kind: ScalerKind, seed: int) -> None:
    values_NC = table(seed)
    other = sklearn_scaler(kind).fit(values_NC)
    imputer = SimpleImputer().fit(values_NC)
    fill = np.asarray(imputer.statistics_)
    if isinstance(other, MinMaxScaler):
        columns = ColumnMap(other.min_, other.scale_, fill, is_product=True)
    else:
        offset = other.mean_ if isinstance(other, StandardScaler) else other.center_
        columns = ColumnMap(offset, other.scale_, fill)
    expected = other.transform(imputer.transform(values_NC))
    np.testing.assert_array_equal(columns(values_NC), expected)
    data = graph_bytes(ScalerGraph(columns, ScalerFacts(kind, "mean", 60)))
    np.testing.assert_array_equal(run(data, values_NC), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("impute", IMPUTES)
def test_graphs_are_read_back(kind: ScalerKind, impute: Impute) -> None:
    values_NC = table(1)
    made = fit(sums(values_NC), kind, impute).graph
    data = graph_bytes(made)
    found = read_graph(data)
    assert found.facts == ScalerFacts(kind, impute, 60)
    np.testing.assert_array_equal(found.map(values_NC), made.map(values_NC))
    np.testing.assert_array_equal(run(data, values_NC), made.map(values_NC))
    assert len(data) < 2000


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_graphs_that_were_changed_are_no_scalers(place: int) -> None:
    data = bytearray(graph_bytes(fit(sums(table(1)), "standard", "mean").graph))
    if place >= len(data):
        pytest.skip("beyond the end")
    data[place] ^= 0x41
    try:
        found = read_graph(bytes(data))
    except NoScaler:
        return
    assert graph_bytes(found) == data  # another number, no other operator


@given(st.binary(max_size=300))
def test_any_bytes_are_no_scaler(data: bytes) -> None:
    with pytest.raises(NoScaler):
        read_graph(data)


def test_a_column_without_deviation_is_divided_by_1() -> None:
    values_NC = np.full((5, 1), 0.1)
    for kind in KINDS:
        found = fit(sums(values_NC), kind, "none").graph.map
        assert found.scale.tolist() == [1.0]
        np.testing.assert_allclose(found(values_NC), 0, atol=1e-16)
        assert found(np.array([[1.1]]))[0, 0] == pytest.approx(1)


def test_tiny_deviations_count() -> None:
    """Unlike scikit-learn, which takes a range below 2e-15 for zero."""
    found = fit(sums(np.array([[1e-18], [3e-18]])), "min-max", "none").graph.map
    np.testing.assert_allclose(found(np.array([[2e-18]])), 0.5)


def test_a_column_without_numbers_is_refused() -> None:
    values_NC = np.array([[1.0, np.nan], [2.0, np.nan]])
    with pytest.raises(InvalidRows, match="All numbers of column 'b' are NaN"):
        fit(sums_of(Rows(values_NC, ("a", "b")), 10), "standard", "none")


@pytest.mark.parametrize(("kind", "impute"), [("robust", "none"), ("standard", "median")])
def test_medians_need_all_distinct_numbers(kind: ScalerKind, impute: Impute) -> None:
    with pytest.raises(TooManyDistinct, match="column 1 hold no distinct numbers"):
        fit(sums(np.arange(11.0)[:, None], 10), kind, impute)
    assert fit(sums(np.arange(11.0)[:, None], 10), "min-max", "mean").columns == ()


def test_numbers_of_callers_that_overflow_are_refused() -> None:
    from schemas.preprocess.numeric import Sums
    from service.preprocess.scalers.sums import merged
    from service.preprocess.scalers.wire import from_wire

    column = {"count": 2, "nan_count": 0, "mean": [0, 0], "squares": [1.7e308, 0]}
    part = from_wire(Sums.model_validate({"columns": [{**column, "minimum": -1, "maximum": 1}]}))
    with pytest.raises(InvalidRows, match="too large"):
        fit(merged([part, part], 0), "standard", "none")
