"""Prints tritonclient's protobuf descriptors: every message, enumeration and method."""

from __future__ import annotations

import json
import sys
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

FILES = (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR)


def messages(descriptor: Any) -> dict[str, Any]:
    found = {
        descriptor.full_name: {
            one.name: [one.number, one.type, one.is_repeated] for one in descriptor.fields
        }
    }
    for inner in descriptor.nested_types:
        found |= messages(inner)
    return found


def enums() -> list[Any]:
    inner = model_config_pb2.DESCRIPTOR.message_types_by_name["ModelInput"]
    return [*model_config_pb2.DESCRIPTOR.enum_types_by_name.values(), *inner.enum_types]


def main() -> dict[str, Any]:
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    return {
        "messages": {
            name: fields
            for file in FILES
            for descriptor in file.message_types_by_name.values()
            for name, fields in messages(descriptor).items()
        },
        "enums": {one.full_name: {v.name: v.number for v in one.values} for one in enums()},
        "methods": {
            one.name: [
                one.input_type.full_name,
                one.output_type.full_name,
                one.client_streaming,
                one.server_streaming,
            ]
            for one in service.methods
        },
    }


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main()))
