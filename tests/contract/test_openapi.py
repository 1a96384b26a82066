"""The OpenAPI document, from which clients are generated: agreed content and general rules.

A wanted change of the contract is shown by regenerating the committed copy::

    python -m tests.contract.test_openapi && git diff tests/contract/openapi.json
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from auth.principal import ALL_SCOPES
from schemas.problem import Problem
from service.app import create_app
from service.settings import Settings
from service.transport.http.middleware.errors import PROBLEM_TYPE
from service.transport.http.routes.oauth_forms import GRANTS
from tests.support.callers.accounts import add_device, add_person, bearer
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer

SNAPSHOT = Path(__file__).with_name("openapi.json")
PROBLEM = "application/problem+json"
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
OAUTH = {"/v1/auth/token", "/v1/auth/revoke", "/v1/auth/introspect"}
"""Routes with the error format of RFC 6749."""
OPERATIONS = {
    "classify": ("post", "/v1/classify", ["classify"]),
    "classifyBatch": ("post", "/v1/classify/batch", ["classify"]),
    "preprocessImage": ("post", "/v1/preprocess/image", ["preprocess"]),
    "preprocessNumeric": ("post", "/v1/preprocess/numeric", ["preprocess"]),
    "preprocessText": ("post", "/v1/preprocess/text", ["preprocess"]),
    "sumRows": ("post", "/v1/scalers/sums", ["preprocess"]),
    "listScalers": ("get", "/v1/scalers", ["preprocess"]),
    "getScaler": ("get", "/v1/scalers/{name}", ["preprocess"]),
    "fitScaler": ("post", "/v1/scalers/{name}", ["models:write"]),
    "classifyText": ("post", "/v1/classify-text", ["classify"]),
    "embed": ("post", "/v1/embed", ["classify"]),
    "preprocessItems": ("post", "/v1/preprocess", ["preprocess"]),
    "inferModel": ("post", "/v2/models/{name}/infer", ["infer"]),
    "inferModelVersion": ("post", "/v2/models/{name}/versions/{version}/infer", ["infer"]),
    "getServerLive": ("get", "/v2/health/live", None),
    "getServerReady": ("get", "/v2/health/ready", None),
    "getServerMetadata": ("get", "/v2", ["models:read"]),
    "listModelNames": ("get", "/v2/models", ["models:read"]),
    "getStatistics": ("get", "/v2/models/stats", ["models:read"]),
    "getModelMetadata": ("get", "/v2/models/{name}", ["models:read"]),
    "getModelVersionMetadata": (*("get", "/v2/models/{name}/versions/{version}", ["models:read"]),),
    "getModelReady": ("get", "/v2/models/{name}/ready", ["models:read"]),
    "getModelVersionReady": (
        *("get", "/v2/models/{name}/versions/{version}/ready", ["models:read"]),
    ),
    "getModelConfig": ("get", "/v2/models/{name}/config", ["models:read"]),
    "getModelVersionConfig": (
        *("get", "/v2/models/{name}/versions/{version}/config", ["models:read"]),
    ),
    "getModelStatistics": ("get", "/v2/models/{name}/stats", ["models:read"]),
    "getModelVersionStatistics": (
        *("get", "/v2/models/{name}/versions/{version}/stats", ["models:read"]),
    ),
    "listRepository": ("post", "/v2/repository/index", ["models:read"]),
    "loadModel": ("post", "/v2/repository/models/{name}/load", ["models:write"]),
    "unloadModel": ("post", "/v2/repository/models/{name}/unload", ["models:write"]),
    "listModels": ("get", "/v1/models", ["models:read"]),
    "getModel": ("get", "/v1/models/{name}", ["models:read"]),
    "loadVersion": ("post", "/v1/models/{name}/versions/{version}/load", ["models:write"]),
    "unloadVersion": ("post", "/v1/models/{name}/versions/{version}/unload", ["models:write"]),
    "promoteVersion": ("post", "/v1/models/{name}/versions/{version}/promote", ["models:write"]),
    "chooseDefaultModel": ("put", "/v1/models/{name}/default", ["models:write"]),
    "rollBackModel": ("post", "/v1/models/{name}/rollback", ["models:write"]),
    "listCameras": ("get", "/v1/cameras", ["cameras"]),
    "addCamera": ("post", "/v1/cameras", ["cameras"]),
    "getCamera": ("get", "/v1/cameras/{name}", ["cameras"]),
    "changeCamera": ("put", "/v1/cameras/{name}", ["cameras"]),
    "removeCamera": ("delete", "/v1/cameras/{name}", ["cameras"]),
    "pauseCamera": ("post", "/v1/cameras/{name}/pause", ["cameras"]),
    "resumeCamera": ("post", "/v1/cameras/{name}/resume", ["cameras"]),
    "getCameraFrame": ("get", "/v1/cameras/{name}/frame", ["cameras"]),
    "getCameraEvents": ("get", "/v1/cameras/{name}/events", ["cameras"]),
    "previewCamera": ("post", "/v1/camera-preview", ["cameras"]),
    "listSensors": ("get", "/v1/sensors", ["sensors"]),
    "addSensor": ("post", "/v1/sensors", ["sensors"]),
    "getSensor": ("get", "/v1/sensors/{name}", ["sensors"]),
    "changeSensor": ("put", "/v1/sensors/{name}", ["sensors"]),
    "removeSensor": ("delete", "/v1/sensors/{name}", ["sensors"]),
    "pauseSensor": ("post", "/v1/sensors/{name}/pause", ["sensors"]),
    "resumeSensor": ("post", "/v1/sensors/{name}/resume", ["sensors"]),
    "getSensorResults": ("get", "/v1/sensors/{name}/results", ["sensors"]),
    "getSensorWindows": ("get", "/v1/sensors/{name}/windows", ["sensors"]),
    "getSensorEvents": ("get", "/v1/sensors/{name}/events", ["sensors"]),
    "classifySensorWindow": ("post", "/v1/sensors/{name}/classify", ["ingest"]),
    "issueToken": ("post", "/v1/auth/token", None),
    "revokeToken": ("post", "/v1/auth/revoke", None),
    "introspectToken": ("post", "/v1/auth/introspect", None),
    "listSessions": ("get", "/v1/auth/sessions", []),
    "endSession": ("delete", "/v1/auth/sessions/{session_id}", []),
    "getJwks": ("get", "/.well-known/jwks.json", None),
    "getOauthMetadata": ("get", "/.well-known/oauth-authorization-server", None),
    "listUsers": ("get", "/v1/admin/users", ["admin"]),
    "addUser": ("post", "/v1/admin/users", ["admin"]),
    "changeUser": ("patch", "/v1/admin/users/{name}", ["admin"]),
    "setUserPassword": ("put", "/v1/admin/users/{name}/password", ["admin"]),
    "removeUser": ("delete", "/v1/admin/users/{name}", ["admin"]),
    "listClients": ("get", "/v1/admin/clients", ["admin"]),
    "addClient": ("post", "/v1/admin/clients", ["admin"]),
    "changeClient": ("patch", "/v1/admin/clients/{name}", ["admin"]),
    "rotateClientSecret": ("post", "/v1/admin/clients/{name}/secret", ["admin"]),
    "removeClient": ("delete", "/v1/admin/clients/{name}", ["admin"]),
    "getLiveness": ("get", "/healthz", None),
    "getReadiness": ("get", "/readyz", None),
    "getMetrics": ("get", "/metrics", None),
}
Document = dict[str, Any]


def make_document() -> Document:
    """The served document without the version, which every release changes."""
    document: Document = create_app(Settings()).openapi()
    document["info"]["version"] = ""
    return document


@pytest.fixture(scope="module")
def document() -> Document:
    return make_document()


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def parts(node: object, pointer: str = "") -> Iterator[tuple[str, Document]]:
    """Every object in the document and its path."""
    if isinstance(node, dict):
        yield pointer, node
        for name, inner in node.items():
            yield from parts(inner, f"{pointer}/{name}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from parts(inner, f"{pointer}/{number}")


def test_document_matches_the_agreed_snapshot(document: Document) -> None:
    agreed = json.loads(SNAPSHOT.read_text())
    assert document == agreed, (
        f"if it was meant to change: {(__doc__ or '').splitlines()[-2].strip()}"
    )


def test_a_running_server_shows_the_same_document(server: LiveServer, document: Document) -> None:
    shown = httpx.get(f"{server.url}/openapi.json").json()
    assert shown["info"].pop("version")
    assert shown == document | {"info": shown["info"]}


def test_the_document_is_valid_openapi(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    # FastAPI's URL is relative to the server; the published schema requires an absolute one.
    absolute = re.sub(r'"(\w+Url)": "', r'"\1": "https://example.org/', json.dumps(document))
    schemathesis.openapi.from_dict(json.loads(absolute)).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_references_and_schemas_match_exactly(document: Document) -> None:
    references = {part["$ref"] for _, part in parts(document) if isinstance(part.get("$ref"), str)}
    assert references == {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "examples")
        for name in document["components"][kind]
    }


def test_operation_ids_and_scopes_are_the_agreed_ones(document: Document) -> None:
    found = {
        operation["operationId"]: (
            method,
            path,
            operation["security"][0]["OAuth2"] if "security" in operation else None,
        )
        for method, path, operation in operations(document)
    }
    assert found == OPERATIONS
    assert len(found) == sum(1 for _ in operations(document))


def test_every_operation_is_described(document: Document) -> None:
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}


def test_every_refusal_is_declared_as_a_problem(document: Document) -> None:
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if status < "400" or path == "/readyz":
                assert PROBLEM not in content
            elif path.startswith("/v2"):
                reference = {"$ref": "#/components/schemas/InferenceError"}
                assert content == {"application/json": {"schema": reference}}
            elif path in OAUTH and status in {"400", "401", "429"}:
                reference = {"$ref": "#/components/schemas/OAuthError"}
                assert content == {"application/json": {"schema": reference}}
            else:
                assert set(content) == {PROBLEM}, (path, status)
                assert content[PROBLEM]["schema"] == PROBLEM_REF, (path, status)


def test_authenticated_operations_declare_their_refusals(document: Document) -> None:
    for _, path, operation in operations(document):
        declared = set(operation["responses"])
        if path not in OAUTH:
            scopes = operation.get("security", [{"OAuth2": None}])[0]["OAuth2"]
            assert ("401" in declared) == (scopes is not None), path
            assert ("403" in declared) == bool(scopes), path
        if "401" in declared:
            assert {"429", "500", "503"} <= declared, path


def test_operations_with_a_body_declare_their_refusals(document: Document) -> None:
    for _, path, operation in operations(document):
        declared = {"408", "413", "415"} & set(operation["responses"])
        assert len(declared) == (3 if "requestBody" in operation else 0), path


def test_retry_after_is_declared_for_429_and_503(document: Document) -> None:
    for _, _, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            assert "Retry-After" in operation["responses"][status]["headers"]


def test_every_response_declares_its_request_id(document: Document) -> None:
    for _, _, operation in operations(document):
        for response in operation["responses"].values():
            assert "X-Request-ID" in response["headers"]


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


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(make_document(), indent=2, ensure_ascii=False) + "\n")
