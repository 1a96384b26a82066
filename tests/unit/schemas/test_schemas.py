"""Options, manifests and problems: accepted, refused, serialised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.classify import MAX_TOP_K, BatchItem, ClassifyOptions, EncodedImage
from schemas.errors import (
    ErrorCode,
    InsufficientScope,
    Overloaded,
    ServiceError,
    Unsupported,
    Violation,
)
from schemas.http.problem import Problem
from schemas.manifest.model_input import Colour, InputSpec
from schemas.models import ModelInfo, ModelManifest
from schemas.operator_error import first_fault
from tests.support.models.text.tiny_text import text_input, text_manifest
from tests.support.models.tiny_model import colour_manifest, input_spec
from tests.support.models.tiny_numeric import numeric_input, scaler_manifest
from tests.support.repository import MANIFESTS
from tests.support.sensors.tiny_series import series_input, series_manifest


@pytest.mark.parametrize("name", ["a", "everyday", "MobileNet_v2-1.0", "0", "x" * 64])
def test_valid_model_names_are_accepted(name: str) -> None:
    assert ClassifyOptions(model=name).model == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "a b", "-a", "_a", "ä", "a\n", "a\0", "x" * 65, "a\\b"]
)
def test_invalid_model_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        ClassifyOptions(model=name)


@pytest.mark.parametrize("top_k", [1, 5, MAX_TOP_K])
def test_top_k_is_accepted_up_to_the_maximum(top_k: int) -> None:
    assert ClassifyOptions(top_k=top_k).top_k == top_k


@pytest.mark.parametrize(
    "changes",
    [
        {"top_k": 0},
        {"top_k": MAX_TOP_K + 1},
        {"top_k": "five"},
        {"top_k": 1.5},
        {"timeout_ms": 0},
        {"timeout_ms": 600_001},
        {"timeout_ms": float("nan")},
        {"topk": 5},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClassifyOptions.model_validate(changes)


def test_json_upload_accepts_only_the_image_member() -> None:
    assert EncodedImage.model_validate({"image": "aGk="}).image == "aGk="
    with pytest.raises(ValidationError):
        EncodedImage.model_validate({"image": "aGk=", "url": "http://example.com"})


def test_absent_members_are_omitted_from_json() -> None:
    item = BatchItem(file_name="a.png")
    assert json.loads(item.model_dump_json(exclude_none=True)) == {"file_name": "a.png"}


@pytest.mark.parametrize(
    ("layout", "colour", "shape"),
    [
        ("NCHW", "RGB", (3, 24, 32)),
        ("NHWC", "BGR", (24, 32, 3)),
        ("NCHW", "grey", (1, 24, 32)),
        ("NHWC", "grey", (24, 32, 1)),
    ],
)
def test_item_shape_follows_layout_and_colour(
    layout: str, colour: str, shape: tuple[int, ...]
) -> None:
    assert input_spec(layout=layout, colour=colour, height=24).shape == shape


def test_grey_has_one_channel_and_colours_have_three() -> None:
    assert [colour.channels for colour in Colour] == [3, 3, 1]


@pytest.mark.parametrize(
    ("changes", "is_identity"),
    [({}, True), ({"scale": 0.5}, False), ({"mean": [1]}, False), ({"std": [1, 1, 2]}, False)],
)
def test_unscaled_input_is_the_identity(changes: dict[str, object], is_identity: bool) -> None:
    assert input_spec(dtype="float32", **changes).is_identity is is_identity


def test_mean_and_std_have_one_or_channel_count_values() -> None:
    for mean in ([1], [1, 2, 3]):
        assert isinstance(input_spec(dtype="float32", mean=mean), InputSpec)
    for mean in ([], [1, 2], [1, 2, 3, 4]):
        with pytest.raises(ValidationError, match="mean must have 1 or 3 numbers"):
            input_spec(dtype="float32", mean=mean)
    with pytest.raises(ValidationError, match="std must have 1 or 1 numbers"):
        input_spec(dtype="float32", colour="grey", std=[1, 2, 3])


@pytest.mark.parametrize("file", sorted(MANIFESTS.iterdir()), ids=lambda file: file.stem)
def test_manifests_round_trip_through_json(file: Path) -> None:
    manifest = ModelManifest.model_validate_json(file.read_bytes())
    assert ModelManifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_model_info_has_every_manifest_field_except_golden_files() -> None:
    manifest = ModelManifest.model_validate({**colour_manifest(b""), "labels": ["a", "b"]})
    hidden = {"golden", "golden_values"}
    assert set(type(manifest).model_fields) - hidden <= set(ModelInfo.model_fields)


def test_problem_code_must_match_a_known_error() -> None:
    members = {"title": "t", "status": 404, "detail": "d", "request_id": "r"}
    assert Problem.model_validate({**members, "code": "not_found"}).code is ErrorCode.NOT_FOUND
    for wrong in ({"code": "gone"}, {"code": "not_found", "status": 200}):
        with pytest.raises(ValidationError):
            Problem.model_validate({**members, **wrong})


def test_error_carries_detail_retry_delay_and_violations() -> None:
    error = Overloaded("Busy.", retry_after=2, violations=(Violation("/body", "x"),))
    assert (str(error), error.detail, error.retry_after) == ("Busy.", "Busy.", 2)
    assert error.violations[0].pointer == "/body"
    assert isinstance(error, ServiceError)
    assert InsufficientScope("admin").detail == "This needs the scope 'admin'."


# Inputs of images and of series


def test_input_without_a_kind_is_of_images_and_written_as_before() -> None:
    given = colour_manifest(b"")
    manifest = ModelManifest.model_validate(given)
    assert isinstance(manifest.input, InputSpec)
    assert manifest.image_input is manifest.input
    assert "kind" not in manifest.model_dump(mode="json")["input"]
    with pytest.raises(Unsupported, match="takes images, not windows"):
        _ = manifest.series_input


def test_input_of_series_is_read_and_written() -> None:
    manifest = ModelManifest.model_validate(series_manifest(b""))
    assert manifest.series_input.shape == (3, 8)
    assert ModelManifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert ModelManifest.model_validate(manifest.model_dump()) == manifest
    with pytest.raises(Unsupported, match="takes windows of 8 samples of 3 channels, not images"):
        _ = manifest.image_input


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"kind": "images"}, "input.kind: Extra inputs are not permitted"),
        ({"kind": "series", "layout": "NCHW"}, "input.name: Field required"),
        (series_input(layout="NCHW"), "input.layout: Extra inputs are not permitted"),
        (series_input(mean=[1, 2]), "input: Value error, mean must have 1 or 3 numbers"),
        (series_input(channels=0), "input.channels: Input should be greater than 0"),
        (series_input(std=[0]), "input.std.0: Input should be greater than or equal to 0.0"),
        (series_input(scale="inf"), "input: Value error, scale, mean and std must be finite"),
        ([], "input: "),
    ],
    ids=str,
)
def test_faults_of_an_input_are_named_without_the_alternatives(spec: object, fault: str) -> None:
    given = colour_manifest(b"")
    image = given["input"]
    if spec == {"kind": "images"}:
        assert isinstance(image, dict)
        spec = image | {"kind": "images"}
    with pytest.raises(ValidationError) as caught:
        ModelManifest.model_validate(given | {"input": spec})
    assert first_fault(caught.value, "manifest").startswith(fault)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (numeric_input(columns=0), "input.columns: Input should be greater than 0"),
        (numeric_input(columns=65_537), "input.columns: Input should be less than or equal to"),
        (numeric_input(dtype="int64"), "input.dtype: Input should be 'float64' or 'float32'"),
        (numeric_input(column_names=["a"]), "input: Value error, column_names must have 3 names"),
        (numeric_input(column_names=["a", "b", "a"]), "input: Value error, column_names must dif"),
        (numeric_input(scaler="../x"), "input.scaler: String should match pattern"),
        (numeric_input(scaler="x@0"), "input.scaler: String should match pattern"),
        (numeric_input(scale=1), "input.scale: Extra inputs are not permitted"),
        (text_input(max_tokens=0), "input.max_tokens: Input should be greater than 0"),
        (text_input(tokenizer="../x"), "input.tokenizer: String should match pattern"),
        (text_input(form="NFD"), "input.form: Input should be 'NFC', 'NFKC' or 'none'"),
        (text_input(mask="ids"), "input: Value error, ids, mask and types must be different"),
        (text_input(padding=-1), "input.padding: Input should be greater than or equal to 0"),
        (text_input(name="ids"), "input.name: Extra inputs are not permitted"),
        ({"kind": "text", "max_tokens": 3}, "input.ids: Field required"),
        ({"kind": ["text"]}, "input.name: Field required"),
    ],
    ids=str,
)
def test_faults_of_numbers_and_text_are_named(spec: object, fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelManifest.model_validate(colour_manifest(b"") | {"input": spec})
    assert first_fault(caught.value, "manifest").startswith(fault)


def test_inputs_of_numbers_and_text_are_read_and_written() -> None:
    for given in (scaler_manifest(b""), text_manifest(b"")):
        manifest = ModelManifest.model_validate(given)
        assert ModelManifest.model_validate_json(manifest.model_dump_json()) == manifest
        assert ModelManifest.model_validate(manifest.model_dump()) == manifest
    scaler = ModelManifest.model_validate(scaler_manifest(b""))
    assert scaler.numeric_input is scaler.input
    with pytest.raises(Unsupported, match="takes rows of 3 numbers, not text"):
        _ = scaler.text_input
    with pytest.raises(Unsupported, match="takes text, not rows of numbers"):
        _ = ModelManifest.model_validate(text_manifest(b"")).numeric_input


VALUES = [{"file": "a.npy", "values": [[1.0, None]]}]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"labels": ["a"]}, "labels must be [] if output.kind is values"),
        ({"labels": "labels.txt"}, "labels must be [] if output.kind is values"),
        ({"abstain_below": 0.5}, "abstain_below needs labels, which output.kind values has not"),
        ({"groups": {"a": "b"}}, "groups needs labels"),
        ({"group_thresholds": [1]}, "group_thresholds needs labels"),
        ({"unnamed": ["a"]}, "unnamed needs labels"),
        ({"synonyms": {"a": ["b"]}}, "synonyms needs labels"),
        ({"temperature": 2}, "temperature needs output.kind logits"),
        (
            {"golden": [{"file": "a.npy", "predictions": [{"index": 0, "score": 1}]}]},
            "golden needs labels",
        ),
        ({"golden_values": [{"file": "a.npy", "values": []}]}, "Tuple should have at least 1 item"),
        ({"output": {"name": "x", "kind": "values", "label_offset": 1}}, "label_offset needs lab"),
        ({"output": {"name": "x", "kind": "values", "thresholds": [1]}}, "thresholds need kind"),
    ],
    ids=str,
)
def test_values_have_no_labels(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelManifest.model_validate(scaler_manifest(b"", **changes))
    assert fault in first_fault(caught.value, "manifest")


def test_golden_values_need_values() -> None:
    manifest = ModelManifest.model_validate(scaler_manifest(b"", golden_values=VALUES))
    assert manifest.golden_values[0].values == ((1.0, None),)
    assert ModelManifest.model_validate_json(manifest.model_dump_json()) == manifest
    with pytest.raises(ValidationError, match="golden_values needs output"):
        ModelManifest.model_validate(text_manifest(b"", golden_values=VALUES))
