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
    ],
)
def test_potoo_field_numbers_are_stable(message: type, fields: dict[str, int]) -> None:
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[attr-defined]
    assert {one.name: one.number for one in descriptor.fields} == fields
    assert descriptor.full_name.startswith("potoo.v1.")
