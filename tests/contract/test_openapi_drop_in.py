"""The OpenAPI document with drop-in endpoints enabled; the agreed one has them disabled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from service.app import create_app
from service.settings import CompatibilitySettings, Settings
from tests.support.documents.openapi import PROBLEM, Document, operations, parts
from tests.support.models.pictures import plain
from tests.support.servers.drop_in import SCOPES, b64, opened
from tests.support.servers.server import LiveServer

NAMES = tuple(CompatibilitySettings.model_fields)
ALL_ON = dict.fromkeys(NAMES, True)
ERRORS = {"/predict": "Problem", "/predictions": "TorchServeError", "/v1/models": "InferenceError"}


def made(**switched: bool) -> Document:
    """Return the document of a server with these endpoints; built once, since that takes a second."""
    return _made(frozenset(name for name, is_on in switched.items() if is_on))


@cache
def _made(on: frozenset[str]) -> Document:
    switched = dict.fromkeys(on, True)
    settings = Settings(compatibility=CompatibilitySettings(**switched))
    document: Document = create_app(settings).openapi()
    document["info"]["version"] = ""
    return document


def added(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Return the paths that the settings add."""
    off = made()["paths"]
    for method, path, operation in operations(document):
        if method not in off.get(path, {}):
            yield method, path, operation


@pytest.fixture(scope="module")
def document() -> Document:
    return made(**ALL_ON)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with opened(tmp_path_factory.mktemp("drop-in")) as server:
        yield server


@pytest.mark.parametrize("chosen", list(product([True, False], repeat=len(NAMES))))
def test_operation_ids_are_unique_for_every_combination(chosen: tuple[bool, ...]) -> None:
    document = made(**dict(zip(NAMES, chosen, strict=True)))
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    references = {part["$ref"] for _, part in parts(document) if isinstance(part.get("$ref"), str)}
    assert references == {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "examples")
        for name in document["components"][kind]
    }


def test_drop_in_endpoints_change_no_other_operation(document: Document) -> None:
    off = made()
    for path, item in off["paths"].items():
        for method, operation in item.items():
            assert document["paths"][path][method] == operation
    for name, schema in off["components"]["schemas"].items():
        assert document["components"]["schemas"][name] == schema


def test_each_switch_adds_exactly_its_paths() -> None:
    def of(**switched: bool) -> set[tuple[str, str]]:
        return {(method, path) for method, path, _ in added(made(**switched))}

    call = "/v1/models/{name}:predict"
    assert of() == set()
    assert of(kserve_v1=True) == {("post", call)}
    assert of(predict=True) == {("post", "/predict")}
    assert of(torchserve=True) == {
        ("get", "/ping"),
        *product(["post", "put"], ["/predictions/{name}", "/predictions/{name}/{version}"]),
    }
    places = ("", "/versions/{version}", "/labels/{label}")
    assert of(tf_serving=True) == {
        *(("post", f"/v1/models/{{name}}{place}:predict") for place in places),
        *(("post", f"/v1/models/{{name}}{place}:classify") for place in places),
        *(("get", f"/v1/models/{{name}}{place}/metadata") for place in places),
        *(("get", f"/v1/models/{{name}}{place}") for place in places[1:]),
    }
    assert of(**ALL_ON) == of(tf_serving=True) | of(torchserve=True) | of(predict=True)


def test_the_document_is_valid_openapi(document: Document) -> None:
    absolute = re.sub(r'"(\w+Url)": "', r'"\1": "https://example.org/', json.dumps(document))
    schemathesis.openapi.from_dict(json.loads(absolute)).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_every_added_operation_declares_description_and_error_format(document: Document) -> None:
    for _, path, operation in added(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"] == ["compatibility"]
        if path == "/ping":
            continue
        declared = operation["responses"]
        assert {"401", "403", "429", "500", "503"} <= set(declared)
        assert ("requestBody" in operation) == ({"408", "413", "415"} <= set(declared))
        name = next(schema for start, schema in ERRORS.items() if _starts(path, start))
        media_type = PROBLEM if name == "Problem" else "application/json"
        reference = {"$ref": f"#/components/schemas/{name}"}
        for status in (status for status in declared if status >= "400"):
            (content,) = declared[status]["content"].items()
            assert (content[0], content[1]["schema"]) == (media_type, reference)


def _starts(path: str, start: str) -> bool:
    return path == start or path.startswith(f"{start}/")


@pytest.mark.process
def test_a_running_server_shows_the_same_document(live: LiveServer, document: Document) -> None:
    shown = httpx.get(f"{live.url}/openapi.json").json()
    assert shown | {"info": document["info"]} == document


@pytest.mark.process
def test_answers_have_exactly_the_declared_members(live: LiveServer, document: Document) -> None:
    file = plain()
    model = "/v1/models/colours"
    schemas: dict[str, Any] = document["components"]["schemas"]
    with live.client(SCOPES) as client:
        answers = {
            "RowAnswers": client.post(f"{model}:predict", json={"instances": [b64(file)]}),
            "ColumnAnswers": client.post(f"{model}:predict", json={"inputs": [b64(file)]}),
            "ExampleAnswers": client.post(
                f"{model}:classify", json={"examples": [{"x": b64(file)}]}
            ),
            "ModelVersionStatus": client.get(f"{model}/versions/1"),
            "ServableMetadata": client.get(f"{model}/metadata"),
            "InferenceError": client.get(f"{model}/versions/9"),
            "Ping": client.get("/ping"),
            "TorchServeError": client.post("/predictions/nope"),
            "BestClasses": client.post("/predict", files={"image": file}),
        }
    for name, answer in answers.items():
        schema = schemas[name]
        jsonschema_rs.validate(schema | {"components": document["components"]}, answer.json())
        assert set(answer.json()) == set(schema["properties"])
