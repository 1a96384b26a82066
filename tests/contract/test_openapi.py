"""The OpenAPI document, from which clients are generated: agreed content and general rules.

A wanted change of the contract is shown by regenerating the committed copy::

    python -m tests.contract.test_openapi && git diff tests/contract/openapi.json
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import jsonschema_rs
import pytest
import schemathesis

from tests.support.documents.openapi import (
    OAUTH,
    PROBLEM,
    Document,
    make_document,
    operations,
    parts,
)
from tests.support.servers.server import LiveServer

SNAPSHOT = Path(__file__).with_name("openapi.json")
PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
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
    "beginRollout": ("put", "/v1/models/{name}/rollout", ["models:write"]),
    "endRollout": ("delete", "/v1/models/{name}/rollout", ["models:write"]),
    "getRollout": ("get", "/v1/models/{name}/rollout", ["models:read"]),
    "getDrift": ("get", "/v1/models/{name}/drift", ["models:read"]),
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
    "listFederations": ("get", "/v1/federations", ["train"]),
    "addFederation": ("post", "/v1/federations", ["train"]),
    "getFederation": ("get", "/v1/federations/{name}", ["train"]),
    "removeFederation": ("delete", "/v1/federations/{name}", ["train"]),
    "putSite": ("put", "/v1/federations/{name}/sites/{site}", ["train"]),
    "forgetSite": ("delete", "/v1/federations/{name}/sites/{site}", ["train"]),
    "publishFederation": ("post", "/v1/federations/{name}/publish", ["train"]),
    "listParameterRuns": ("get", "/v1/parameters", ["train"]),
    "addParameterRun": ("post", "/v1/parameters", ["train"]),
    "getParameterRun": ("get", "/v1/parameters/{run}/state", ["train"]),
    "removeParameterRun": ("delete", "/v1/parameters/{run}", ["train"]),
    "beginParameterRun": ("put", "/v1/parameters/{run}", ["train"]),
    "pullParameters": ("get", "/v1/parameters/{run}", ["train"]),
    "pushGradients": ("post", "/v1/parameters/{run}/gradients", ["train"]),
    "listDatasets": ("get", "/v1/datasets", ["teach"]),
    "addDataset": ("post", "/v1/datasets", ["teach"]),
    "getDataset": ("get", "/v1/datasets/{name}", ["teach"]),
    "changeDataset": ("patch", "/v1/datasets/{name}", ["teach"]),
    "removeDataset": ("delete", "/v1/datasets/{name}", ["teach"]),
    "importPhotos": ("post", "/v1/datasets/{name}/import", ["teach"]),
    "exportDataset": ("get", "/v1/datasets/{name}/export", ["teach"]),
    "listPhotos": ("get", "/v1/datasets/{name}/photos", ["teach"]),
    "addPhoto": ("post", "/v1/datasets/{name}/photos", ["teach"]),
    "getPhoto": ("get", "/v1/datasets/{name}/photos/{id}", ["teach"]),
    "changePhoto": ("patch", "/v1/datasets/{name}/photos/{id}", ["teach"]),
    "removePhoto": ("delete", "/v1/datasets/{name}/photos/{id}", ["teach"]),
    "listRuns": ("get", "/v1/datasets/{name}/runs", ["teach"]),
    "beginRun": ("post", "/v1/datasets/{name}/runs", ["teach"]),
    "getRun": ("get", "/v1/datasets/{name}/runs/{id}", ["teach"]),
    "cancelRun": ("delete", "/v1/datasets/{name}/runs/{id}", ["teach"]),
    "getRunReport": ("get", "/v1/datasets/{name}/runs/{id}/report", ["teach"]),
    "getPhotoImage": ("get", "/v1/datasets/{name}/photos/{id}/image", ["teach"]),
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


@pytest.fixture(scope="module")
def document() -> Document:
    return make_document()


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


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(make_document(), indent=2, ensure_ascii=False) + "\n")
