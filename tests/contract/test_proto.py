"""Generated code matches the .proto files, and these match Triton's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from schemas.pb import open_inference_pb2, potoo_pb2
from tests.clients.running import facts
from tests.support.repository import ROOT

FOLDER = ROOT / "schemas" / "pb"
PROTOS = sorted(path.name for path in FOLDER.glob("*.proto"))


@pytest.mark.process
def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}"]
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    files = [f"schemas/pb/{name}" for name in PROTOS]
    subprocess.run([*command, *outputs, *files], check=True, cwd=ROOT)
    made = {path.name: path.read_text() for path in (tmp_path / "schemas" / "pb").iterdir()}
    committed = {path.name: path.read_text() for path in FOLDER.glob("*_pb2.py*")}
    assert made == committed, "run: make proto"


def test_makefile_compiles_every_proto() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"schemas/pb/{name}" in makefile for name in PROTOS)


def shape_of(field: FieldDescriptor) -> list[object]:
    """The parts of a descriptor that affect compatibility on the wire."""
    return [field.number, field.type, field.is_repeated]


def messages(descriptor: Descriptor) -> dict[str, dict[str, list[object]]]:
    found = {descriptor.full_name: {one.name: shape_of(one) for one in descriptor.fields}}
    for inner in descriptor.nested_types:
        found |= messages(inner)
    return found


@pytest.mark.process
def test_messages_and_methods_match_tritons_definitions() -> None:
    theirs = facts("triton_proto")
    file = open_inference_pb2.DESCRIPTOR
    ours = {
        name: fields
        for descriptor in file.message_types_by_name.values()
        for name, fields in messages(descriptor).items()
    }
    for name, fields in ours.items():
        for field, shape in fields.items():
            assert theirs["messages"][name][field] == shape, (name, field)
    for enum in (
        file.enum_types_by_name["DataType"],
        file.message_types_by_name["ModelInput"].enum_types_by_name["Format"],
    ):
        assert theirs["enums"][enum.full_name] == {one.name: one.number for one in enum.values}
    for method in file.services_by_name["GRPCInferenceService"].methods:
        kinds = [method.client_streaming, method.server_streaming]
        names = [method.input_type.full_name, method.output_type.full_name]
        assert theirs["methods"][method.name] == [*names, *kinds]


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (
            potoo_pb2.PredictRequest,
            {"image_data": 1, "model": 2, "top_k": 3},
        ),
        (
            potoo_pb2.PredictResponse,
            {
                "probabilities": 1,
                "class_names": 2,
                "model_name": 3,
                "model_version": 4,
                "abstained": 5,
                "summary": 6,
                "labels_present": 7,
                "calibrated": 8,
            },
        ),
        (potoo_pb2.Summary, {"label": 1, "score": 2, "level": 3, "perhaps": 4}),
        (potoo_pb2.Named, {"label": 1, "score": 2}),
        (potoo_pb2.ItemError, {"code": 1, "detail": 2, "errors": 3}),
        (potoo_pb2.ItemViolation, {"pointer": 1, "detail": 2}),
        (potoo_pb2.ClassifyTextRequest, {"texts": 1, "model": 2, "top_k": 3}),
        (
            potoo_pb2.ClassifyTextResponse,
            {"results": 1, "model_name": 2, "model_version": 3, "calibrated": 4},
        ),
        (
            potoo_pb2.TextResult,
            {
                "probabilities": 1,
                "class_names": 2,
                "abstained": 3,
                "summary": 4,
                "labels_present": 5,
                "error": 6,
            },
        ),
        (potoo_pb2.EmbedRequest, {"texts": 1, "model": 2}),
        (potoo_pb2.EmbedResponse, {"vectors": 1, "model_name": 2, "model_version": 3}),
        (potoo_pb2.Tensor, {"name": 1, "datatype": 2, "shape": 3, "data": 4}),
        (potoo_pb2.PrepareImageRequest, {"image_data": 1, "model": 2, "view": 3}),
        (
            potoo_pb2.PreparedImage,
            {
                "model_name": 1,
                "model_version": 2,
                "tensor": 3,
                "layout": 4,
                "colour": 5,
                "png": 6,
            },
        ),
        (potoo_pb2.Rows, {"values": 1, "columns": 2, "column_names": 3}),
        (potoo_pb2.Scaling, {"offset": 1, "scale": 2}),
        (
            potoo_pb2.PrepareNumericRequest,
            {
                "rows": 1,
                "csv": 2,
                "arrow": 3,
                "npy": 4,
                "scaler": 5,
                "method": 6,
                "scaling": 7,
                "impute": 8,
                "window": 9,
                "stride": 10,
            },
        ),
        (
            potoo_pb2.PreparedNumeric,
            {
                "scaler": 1,
                "scaler_version": 2,
                "tensor": 3,
                "column_names": 4,
                "nan_counts": 5,
                "imputed_counts": 6,
                "scaling": 7,
            },
        ),
        (
            potoo_pb2.PrepareTextRequest,
            {
                "texts": 1,
                "model": 2,
                "max_tokens": 3,
                "padding": 4,
                "form": 5,
                "offsets": 6,
                "hashing": 7,
            },
        ),
        (potoo_pb2.Hashing, {"dimension": 1, "least": 2, "most": 3}),
        (
            potoo_pb2.PreparedText,
            {"model_name": 1, "model_version": 2, "texts": 3, "vectors": 4},
        ),
        (
            potoo_pb2.EncodedText,
            {
                "ids": 1,
                "mask": 2,
                "tokens": 3,
                "starts": 4,
                "ends": 5,
                "text": 6,
                "truncated": 7,
            },
        ),
        (
            potoo_pb2.PrepareItemRequest,
            {"id": 1, "image": 2, "numeric": 3, "text": 4},
        ),
        (
            potoo_pb2.PreparedItem,
            {"id": 1, "image": 2, "numeric": 3, "text": 4, "error": 5},
        ),
    ],
)
def test_potoo_field_numbers_are_stable(message: type, fields: dict[str, int]) -> None:
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[attr-defined]
    assert {one.name: one.number for one in descriptor.fields} == fields
    assert descriptor.full_name.startswith("potoo.v1.")
