"""The OpenAPI document: what apps are generated from, and what the server must live up to.

A wanted change of the contract is shown by regenerating the committed copy::

    python -m tests.contract.test_openapi && git diff tests/contract/openapi.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from service.app import create_app
from service.settings import Settings
from tests.pictures import plain
from tests.server import LiveServer

SNAPSHOT = Path(__file__).with_name("openapi.json")
PROBLEM = "application/problem+json"
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
OPERATIONS = {
    "classify": ("post", "/v1/classify", ["classify"]),
    "classifyBatch": ("post", "/v1/classify/batch", ["classify"]),
    "listModels": ("get", "/v1/models", ["models:read"]),
    "getModel": ("get", "/v1/models/{name}", ["models:read"]),
    "issueToken": ("post", "/v1/auth/token", None),
    "getJwks": ("get", "/.well-known/jwks.json", None),
    "getLiveness": ("get", "/healthz", None),
    "getReadiness": ("get", "/readyz", None),
    "getMetrics": ("get", "/metrics", None),
}
# Random bytes are no pictures, and a deadline of a millisecond may well be missed. In a form every
# value is bytes: a file of the four letters "true" breaks no schema.
CONFORMANCE = """
[parameters]
"path.name" = "colours"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "504"]
[checks.positive_data_acceptance]
enabled = false
[[operations]]
include-operation-id = "classifyBatch"
[operations.checks.negative_data_rejection]
enabled = false
"""

Document = dict[str, Any]


def make_document() -> Document:
    """What the server shows, without the version, which every release changes."""
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
    """Every object in the document and where it stands."""
    if isinstance(node, dict):
        yield pointer, node
        for name, inner in node.items():
            yield from parts(inner, f"{pointer}/{name}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from parts(inner, f"{pointer}/{number}")


def test_the_contract_is_the_one_that_was_agreed_on(document: Document) -> None:
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
    # Relative to wherever the server is, as FastAPI does it; the published schema wants a full one.
    absolute = json.dumps(document).replace('"tokenUrl": "', '"tokenUrl": "https://example.org/')
    schemathesis.openapi.from_dict(json.loads(absolute)).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: Document) -> None:
    references = {part["$ref"] for _, part in parts(document) if isinstance(part.get("$ref"), str)}
    assert references == {
        f"#/components/schemas/{name}" for name in document["components"]["schemas"]
    }


def test_operation_ids_are_the_names_of_functions(document: Document) -> None:
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
            content = response["content"]
            if status < "400" or path == "/readyz":
                assert PROBLEM not in content
            elif path == "/v1/auth/token" and status in {"400", "401", "429"}:
                reference = {"$ref": "#/components/schemas/OAuthError"}
                assert content == {"application/json": {"schema": reference}}
            else:
                assert content == {PROBLEM: {"schema": PROBLEM_REF}}, (path, status)


def test_what_needs_a_token_declares_how_it_is_refused(document: Document) -> None:
    for _, path, operation in operations(document):
        guarded = "security" in operation
        assert guarded == ({"401", "403"} <= set(operation["responses"])), path


def test_every_answer_declares_its_request_id(document: Document) -> None:
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


def test_forms_declare_that_they_take_no_other_fields(document: Document) -> None:
    for path in ("/v1/classify", "/v1/classify/batch"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert content["multipart/form-data"]["schema"]["additionalProperties"] is False


def test_a_token_request_declares_its_grants(document: Document) -> None:
    form = document["components"]["schemas"]["TokenForm"]
    assert form["required"] == ["grant_type"]
    assert form["properties"]["grant_type"]["enum"] == ["password", "client_credentials"]


def test_tokens_are_got_where_the_document_says(document: Document) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert set(scheme["flows"]) == {"password", "clientCredentials"}
    for flow in scheme["flows"].values():
        assert f"/{flow['tokenUrl']}" in document["paths"]
        assert set(flow["scopes"]) == {"classify", "models:read", "admin"}


def test_examples_are_what_their_schema_allows(document: Document) -> None:
    names = []
    for pointer, part in parts(document["components"]["schemas"]):
        for example in part.get("examples", []) if "type" in part else []:
            schema = part | {"components": document["components"]}
            jsonschema_rs.validate(schema, example)
            names.append(pointer)
    assert {"/EncodedImage", "/Problem"} <= set(names)


def test_the_example_of_an_upload_is_a_picture(client: httpx.Client, document: Document) -> None:
    (example,) = document["components"]["schemas"]["EncodedImage"]["examples"]
    assert client.post("/v1/classify", json=example).status_code == 200


def test_an_answer_has_exactly_the_members_that_are_declared(
    client: httpx.Client, document: Document
) -> None:
    answers = {
        "ClassifyResponse": client.post("/v1/classify", files={"file": plain()}),
        "BatchResponse": client.post(
            "/v1/classify/batch", files=[("files", plain()), ("files", b"text")]
        ),
        "ModelList": client.get("/v1/models"),
        "ModelInfo": client.get("/v1/models/colours"),
        "Problem": client.get("/v1/models/nope"),
        "Readiness": client.get("/readyz"),
        "JsonWebKeySet": client.get("/.well-known/jwks.json"),
    }
    for name, answer in answers.items():
        schema = document["components"]["schemas"][name]
        jsonschema_rs.validate(schema | {"components": document["components"]}, answer.json())
        assert set(answer.json()) <= set(schema["properties"])
        assert set(schema.get("required", ())) <= set(answer.json())


@pytest.mark.parametrize("has_token", [True, False], ids=["signed in", "a stranger"])
def test_the_server_does_what_the_document_says(
    server: LiveServer, tmp_path: Path, *, has_token: bool
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFORMANCE)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
        *("--max-examples", "60" if has_token else "15", "--seed", "1", "--continue-on-failure"),
        *("--generation-database", "none", "--suppress-health-check", "all", "--no-color"),
        *("--warnings", "off"),
    ]
    if has_token:
        command += ["--header", f"Authorization: Bearer {server.token()}"]
    else:
        command += ["--phases", "coverage,fuzzing"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (tested,) = re.findall(r"(\d+) generated, (\d+) passed", run.stdout)
    assert tested[0] == tested[1]
    assert int(tested[0]) > 100


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(make_document(), indent=2, ensure_ascii=False) + "\n")
