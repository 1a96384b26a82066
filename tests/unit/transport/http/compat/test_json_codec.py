"""Rows, columns and examples in JSON, valid and invalid."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CallerError, InvalidRequest, InvalidTensor
from schemas.http.inference import Datatype, TensorMetadata
from service.core.imaging.answer import Classification, ImageFacts, ModelRef, Prediction, Timing
from service.core.tensors.inference import InferResponse
from service.core.tensors.tensors import Tensor
from service.transport.http.compat.json_codec import (
    ParsedPredict,
    read_examples,
    read_predict,
    write_examples,
    write_predict,
)
from tests.support.suite.examples import examples

thorough = examples(300)
FLOATS = TensorMetadata(name="x", datatype=Datatype.FP32, shape=[-1, 2, 3])
PIXELS = TensorMetadata(name="x", datatype=Datatype.UINT8, shape=[-1, 2, 3])
MOST = 4
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["b64", "x", "y"]) | st.text(), inner, max_size=3)
    ),
)


def asked(
    document: Any, spec: TensorMetadata = FLOATS, *, with_columns: bool = True, most: int = MOST
) -> ParsedPredict:
    return read_predict(json.dumps(document).encode(), spec, most, with_columns=with_columns)


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@thorough
@given(
    st.lists(
        st.lists(
            st.lists(
                st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
            ),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=MOST,
    ),
    st.sampled_from(["instances", "named instances", "inputs", "named inputs"]),
)
def test_tensors_keep_numbers_and_shape(rows: list[Any], form: str) -> None:
    kind = form.rsplit(maxsplit=1)[-1]
    document: dict[str, Any] = {kind: rows}
    if form == "named instances":
        document = {kind: [{"x": row} for row in rows]}
    elif form == "named inputs":
        document = {kind: {"x": rows}}
    found = asked(document)
    assert found.answer == ("predictions" if kind == "instances" else "outputs")
    assert (found.tensor.name, found.tensor.datatype) == ("x", Datatype.FP32)
    assert np.array_equal(found.tensor.array, np.array(rows, np.float32))


@thorough
@given(
    st.lists(st.binary(), min_size=1, max_size=MOST),
    st.sampled_from([None, "x", "image_bytes", "b"]),
    st.booleans(),
)
def test_images_keep_their_bytes(files: list[bytes], name: str | None, in_columns: bool) -> None:
    images = [b64(file) for file in files]
    document: dict[str, Any]
    if in_columns:
        document = {"inputs": {name: images} if name else images}
    else:
        document = {"instances": [{name: image} if name else image for image in images]}
    found = asked(document).tensor
    assert (found.datatype, found.shape) == (Datatype.BYTES, (len(files),))
    assert list(found.array) == files
    examples = [{"image/encoded": image, "caption": "sea"} for image in images]
    assert read_examples(json.dumps({"examples": examples}).encode(), MOST) == files


@thorough
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["instances", "inputs", "examples"], JSON)))
def test_arbitrary_json_is_read_or_refused(document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    for spec in (FLOATS, PIXELS):
        with contextlib.suppress(CallerError):
            found = read_predict(body, spec, MOST, with_columns=True)
            assert found.tensor.datatype in {spec.datatype, Datatype.BYTES}
            assert 1 <= found.tensor.shape[0] <= MOST
    with contextlib.suppress(CallerError):
        assert all(isinstance(image, bytes) for image in read_examples(body, MOST))


@thorough
@given(st.binary())
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    for read in (
        lambda: read_predict(body, FLOATS, MOST, with_columns=True),
        lambda: read_examples(body, MOST),
    ):
        with pytest.raises(CallerError):
            read()


def test_columns_are_refused_where_only_rows_are_supported() -> None:
    with pytest.raises(InvalidRequest, match="'instances', a list"):
        asked({"inputs": [[1]]}, with_columns=False)
    found = asked({"inputs": "ignored", "instances": [[1]]}, with_columns=False)
    assert found.tensor.shape == (1, 1)


def test_numbers_must_fit_the_models_datatype() -> None:
    assert asked({"instances": [[0, 255]]}, PIXELS).tensor.array.dtype == np.uint8
    for wrong in (-1, 256, 1.5, True, "1", None, 10**30):
        with pytest.raises(InvalidTensor):
            asked({"instances": [[0, wrong]]}, PIXELS)
    with pytest.raises(InvalidTensor):
        asked({"instances": [[0, "1"]]})


def test_ragged_lists_are_refused() -> None:
    for rows in ([[1, 2], [3]], [[1], 2], [1, [2]], [[[1]], [2]], [[1, [2]]]):
        with pytest.raises(InvalidTensor):
            asked({"instances": rows})


@pytest.mark.parametrize("count", [0, MOST + 1, 50])
def test_item_count_is_checked_before_decoding(count: int) -> None:
    unfit = {"b64": "?"}
    for document in ({"instances": [unfit] * count}, {"inputs": {"x": [unfit] * count}}):
        with pytest.raises(InvalidTensor, match=f"1 to 4 items .* not {count}"):
            asked(document)
    examples = json.dumps({"examples": [{"x": unfit}] * count}).encode()
    with pytest.raises(InvalidTensor, match=f"1 to 4 items .* not {count}"):
        read_examples(examples, MOST)


def test_non_finite_output_is_refused_in_json() -> None:
    found = asked({"instances": [[1]]})
    output = Tensor("y", Datatype.FP32, np.array([[1.0, np.nan]], np.float32))
    with pytest.raises(InvalidTensor, match="not finite"):
        write_predict(InferResponse(ModelRef("m", 1), (output,)), found)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1)])
def test_outputs_keep_the_nesting_of_the_graph(shape: tuple[int, ...]) -> None:
    array = np.arange(6, dtype=np.float32).reshape(shape)
    response = InferResponse(ModelRef("m", 1), (Tensor("y", Datatype.FP32, array),))
    for document, member in (({"instances": [[1]]}, "predictions"), ({"inputs": [[1]]}, "outputs")):
        written = orjson.loads(write_predict(response, asked(document)))
        assert written == {member: array.tolist()}


def test_examples_are_answered_with_labels_and_scores() -> None:
    predictions = [Prediction("cup", 4, 0.75), Prediction("ewer", 2, 0.25)]
    facts, timing = ImageFacts("PNG", 1, 1), Timing(0, 0, 0, 0)
    answer = Classification(
        None, predictions, None, abstained=True, calibrated=False, image=facts, timing=timing
    )
    assert orjson.loads(write_examples([answer, answer])) == {
        "results": [[["cup", 0.75], ["ewer", 0.25]]] * 2
    }
