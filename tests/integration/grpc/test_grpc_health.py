"""``grpc.health.v1`` and server reflection, as their own clients use them."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from schemas.pb import open_inference_pb2 as pb
from tests.support.callers.rpc import Client, connected, refused
from tests.support.servers.server import LiveServer

SERVICES = {
    *("inference.GRPCInferenceService", "potoo.v1.ModelService", "potoo.v1.PreprocessService"),
    *("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"),
}


@pytest.fixture(scope="module")
def nobody(server: LiveServer) -> Iterator[Client]:
    with connected(server, None) as client:
        yield client


@pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
def test_server_and_every_service_are_serving(nobody: Client, service: str) -> None:
    answer = HealthStub(nobody.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service_is_not_found(nobody: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        HealthStub(nobody.channel).Check(health_pb2.HealthCheckRequest(service="nope"))
    assert refused(caught.value) == ("NOT_FOUND", "not_found")


def test_health_list_names_every_service(nobody: Client) -> None:
    answer = HealthStub(nobody.channel).List(health_pb2.HealthListRequest())
    assert set(answer.statuses) == {"", *SERVICES}


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", health_pb2.HealthCheckResponse.SERVING),
        ("nope", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN),
    ],
)
def test_health_watch_streams_the_status(nobody: Client, service: str, status: int) -> None:
    call = HealthStub(nobody.channel).Watch(health_pb2.HealthCheckRequest(service=service))
    assert next(call).status == status
    call.cancel()


def test_reflection_lists_services_and_messages(nobody: Client) -> None:
    database = ProtoReflectionDescriptorDatabase(nobody.channel)
    assert set(database.get_services()) == SERVICES
    pool = DescriptorPool(database)
    for name in ("inference.GRPCInferenceService", "grpc.health.v1.Health"):
        assert pool.FindServiceByName(name).methods
    found = pool.FindMessageTypeByName("inference.ModelInferRequest")
    assert [field.number for field in found.fields] == [
        field.number for field in pb.ModelInferRequest.DESCRIPTOR.fields
    ]
    assert set(pool.FindServiceByName("potoo.v1.ModelService").methods_by_name) == {
        *("Predict", "ClassifyText", "Embed")
    }


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_supports_v1_and_v1alpha(nobody: Client, version: str) -> None:
    call = nobody.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in answer.list_services_response.service}
    assert names == SERVICES


@pytest.mark.parametrize(
    "request_",
    [
        reflection_pb2.ServerReflectionRequest(),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nope"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="../../etc/passwd"),
    ],
)
def test_unknown_reflection_request_gets_an_error_response(
    nobody: Client, request_: reflection_pb2.ServerReflectionRequest
) -> None:
    call = nobody.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([request_]))
    assert answer.error_response.error_code
