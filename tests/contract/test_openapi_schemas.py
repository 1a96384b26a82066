"""Schemas of the OpenAPI document: forms, constraints, examples, and the answers that match."""

from __future__ import annotations

import math

import httpx
import jsonschema_rs
import pytest

from auth.principal import ALL_SCOPES
from schemas.http.problem import Problem
from service.transport.http.middleware.errors import PROBLEM_TYPE
from service.transport.http.routes.identity.oauth_forms import GRANTS
from tests.support.callers.accounts import add_device, add_person, bearer
from tests.support.documents.openapi import OAUTH, Document, make_document, parts
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer


@pytest.fixture(scope="module")
def document() -> Document:
    return make_document()


def test_uploads_are_declared_as_files(document: Document) -> None:
    binary = {"type": "string", "format": "binary"}
    one = document["paths"]["/v1/classify"]["post"]["requestBody"]
    assert set(one["content"]) == {
        *("multipart/form-data", "image/*", "application/octet-stream", "application/json")
    }
    assert binary.items() <= one["content"]["image/*"]["schema"].items()
    form = one["content"]["multipart/form-data"]["schema"]
    assert binary.items() <= form["properties"]["file"].items()
    many = document["paths"]["/v1/classify/batch"]["post"]["requestBody"]["content"]
    assert set(many) == {"multipart/form-data"}
    files = many["multipart/form-data"]["schema"]["properties"]["files"]
    assert binary.items() <= files["items"].items()


def test_forms_declare_no_additional_fields(document: Document) -> None:
    for path in ("/v1/classify", "/v1/classify/batch"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert content["multipart/form-data"]["schema"]["additionalProperties"] is False


def test_token_form_declares_its_grants(document: Document) -> None:
    form = document["components"]["schemas"]["TokenForm"]
    assert form["required"] == ["grant_type"]
    assert form["properties"]["grant_type"]["enum"] == list(GRANTS)


def test_every_oauth_form_has_valid_examples(document: Document) -> None:
    shown = []
    for path in sorted(OAUTH):
        body = document["paths"][path]["post"]["requestBody"]["content"]
        (form,) = body.values()
        for example in form["examples"].values():
            schema = form["schema"] | {"components": document["components"]}
            jsonschema_rs.validate(schema, example["value"])
            shown.append(example["value"].get("grant_type"))
    assert {*GRANTS} <= set(shown)


def test_secrets_are_declared_as_passwords(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for name in ("TokenForm", "AskedToken", "NewUser", "NewPassword"):
        for member, schema in schemas[name]["properties"].items():
            is_secret = member in {"password", "client_secret", "refresh_token", "token"}
            assert (schema.get("format") == "password") is is_secret, (name, member)


def test_every_problem_shows_examples_of_its_status(document: Document) -> None:
    examples = document["components"]["examples"]
    shown = set()
    for pointer, part in parts(document["paths"]):
        if PROBLEM_TYPE not in part:
            continue
        status = int(pointer.split("/")[-2])
        names = set(part[PROBLEM_TYPE]["examples"])
        assert names, pointer
        assert {examples[name]["value"]["status"] for name in names} == {status}, pointer
        shown |= names
    for name, example in examples.items():
        assert Problem.model_validate(example["value"]).code == name
    assert shown <= set(examples)
    details = [example["value"]["detail"] for example in examples.values()]
    assert len(set(details)) == len(details)


def test_constraints_are_those_of_json_schema(document: Document) -> None:
    others = {"ge", "le", "gt", "lt", "min_length", "max_length"}
    found = [pointer for pointer, part in parts(document) if others & set(part)]
    assert found == []
    parameters = document["paths"]["/v1/classify"]["post"]["parameters"]
    limits = {
        parameter["name"]: (part["minimum"], part["maximum"])
        for parameter in parameters
        for _, part in parts(parameter["schema"])
        if "minimum" in part
    }
    assert limits == {"version": (1, 2**31 - 1), "top_k": (1, 100), "timeout_ms": (1, 600_000)}


def test_optional_form_fields_have_no_empty_default(document: Document) -> None:
    for name in ("TokenForm", "AskedToken"):
        schema = document["components"]["schemas"][name]
        assert all("default" not in member for member in schema["properties"].values())
    asked = document["components"]["schemas"]["AskedToken"]
    assert (asked["required"], asked["properties"]["token"]["minLength"]) == (["token"], 1)


@pytest.mark.parametrize("name", ["NewUser", "NewClient", "AccountChange"])
def test_scopes_of_accounts_are_an_enumeration(document: Document, name: str) -> None:
    schema = document["components"]["schemas"][name]["properties"]["scopes"]
    (items,) = [part["items"] for _, part in parts(schema) if "items" in part]
    assert items == {"type": "string", "enum": sorted(ALL_SCOPES)}


def test_token_urls_are_paths_of_the_document(document: Document) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert set(scheme["flows"]) == {"password", "clientCredentials"}
    for flow in scheme["flows"].values():
        assert f"/{flow['tokenUrl']}" in document["paths"]
        assert set(flow["scopes"]) == ALL_SCOPES


def test_examples_match_their_schemas(document: Document) -> None:
    names = []
    for pointer, part in parts(document["components"]["schemas"]):
        for example in part.get("examples", []) if "type" in part else []:
            schema = part | {"components": document["components"]}
            jsonschema_rs.validate(schema, example)
            names.append(pointer)
    assert {"/EncodedImage", "/Problem"} <= set(names)


def test_upload_example_is_a_classifiable_image(client: httpx.Client, document: Document) -> None:
    (example,) = document["components"]["schemas"]["EncodedImage"]["examples"]
    assert client.post("/v1/classify", json=example).status_code == 200


def infer(server: LiveServer) -> httpx.Response:
    """The response to a tensor of zeros, which has all optional members."""
    shape = [1, 3, SIDE, SIDE]
    given = {"name": "image", "shape": shape, "datatype": "FP32", "data": [0] * math.prod(shape)}
    body = {"id": "mine", "inputs": [given]}
    headers = bearer(server.token("infer"))
    return httpx.post(f"{server.url}/v2/models/colours/infer", json=body, headers=headers)


def answers_of_identity(server: LiveServer) -> dict[str, httpx.Response]:
    """Responses of the OAuth and admin routes match their declared schemas."""
    person, device = add_person(server), add_device(server, introspect=True)
    url, headers = server.url, bearer(server.token("admin"))
    issued = httpx.post(f"{url}/v1/auth/token", data=person.form())
    asked = device.credentials | {"token": issued.json()["access_token"]}
    changed, clients = {"disabled": True}, f"{url}/v1/admin/clients"
    return {
        "TokenResponse": issued,
        "OAuthError": httpx.post(f"{url}/v1/auth/token"),
        "Introspection": httpx.post(f"{url}/v1/auth/introspect", data=asked),
        "AccountList": httpx.get(f"{url}/v1/admin/users", headers=headers),
        "ClientList": httpx.get(clients, headers=headers),
        "NewClientSecret": httpx.post(f"{clients}/{device.name}/secret", headers=headers),
        "ClientInfo": httpx.patch(f"{clients}/{device.name}", json=changed, headers=headers),
        "AccountInfo": httpx.patch(
            f"{url}/v1/admin/users/{person.name}", json=changed, headers=headers
        ),
    }


def test_answers_have_exactly_the_declared_members(
    server: LiveServer, client: httpx.Client, document: Document
) -> None:
    answers = {
        "ClassifyResponse": client.post("/v1/classify", files={"file": plain()}),
        "BatchResponse": client.post(
            "/v1/classify/batch", files=[("files", plain()), ("files", b"text")]
        ),
        "ModelList": client.get("/v1/models"),
        "ModelInfo": client.get("/v1/models/colours"),
        "InferenceError": client.get("/v2/models/nope"),
        "InferResponseBody": infer(server),
        "ModelConfig": client.get("/v2/models/colours/config"),
        "ModelMetadata": client.get("/v2/models/colours"),
        "ModelNames": client.get("/v2/models"),
        "ModelReady": client.get("/v2/models/colours/ready"),
        "ServerLive": client.get("/v2/health/live"),
        "ServerMetadataV2": client.get("/v2"),
        "ServerReady": client.get("/v2/health/ready"),
        "StatisticsResponse": client.get("/v2/models/stats"),
        "Problem": client.get("/v1/models/nope"),
        "Readiness": client.get("/readyz"),
        "JsonWebKeySet": client.get("/.well-known/jwks.json"),
        "ServerMetadata": client.get("/.well-known/oauth-authorization-server"),
        "SessionList": client.get("/v1/auth/sessions"),
        **answers_of_identity(server),
    }
    for name, answer in answers.items():
        schema = document["components"]["schemas"][name]
        jsonschema_rs.validate(schema | {"components": document["components"]}, answer.json())
        assert set(answer.json()) <= set(schema["properties"])
        assert set(schema.get("required", ())) <= set(answer.json())
