"""The server conforms to its OpenAPI document, tested by Schemathesis."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from auth.principal import Scope
from tests.support.callers.accounts import add_device, bearer, post
from tests.support.servers.drop_in import opened
from tests.support.servers.server import LiveServer, serve

pytestmark = [pytest.mark.process, pytest.mark.slow]

HOOKS = Path(__file__).parents[1] / "support/suite/schemathesis_hooks.py"

# Random bytes are no images, a deadline of a millisecond may be missed, and passwords are not
# guessed. In a form every value is bytes: a file with the text "true" breaks no schema. Every path
# is set to "colours" and version 1. GET /v1/models/{name} reports a name with a
# colon as unknown, and GET /v1/scalers/{name} a scaler of the name sums. Of many items, a bad one
# has its error in the answer.
CONFIGURATION = """
[parameters]
"path.name" = "colours"
"path.version" = "1"
"path.label" = "stable"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "504"]
[checks.positive_data_acceptance]
enabled = false
[checks.ensure_resource_availability]
enabled = false
[[operations]]
include-operation-id-regex = "^(classifyBatch|preprocessItems|predictBest|(predict|put)Image.*|[a-z]+Version)$"
[operations.checks.negative_data_rejection]
enabled = false
[[operations]]
include-path-regex = "(:(predict|classify)|/v1/scalers/sums)$"
[operations.checks.allow_header_conformance]
enabled = false
"""


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A separate server: the test changes accounts and promotions, and guesses passwords."""
    folder = tmp_path_factory.mktemp("conformance")
    models = shutil.copytree(colours, folder / "models")
    with serve(folder, models=models, POTOO_AUTH__FAILURES_FREE="0") as live:
        yield live


def run(server: LiveServer, folder: Path, *arguments: str) -> int:
    """Run all cases, which must pass; return their number."""
    (folder / "schemathesis.toml").write_text(f"hooks = '{HOOKS}'\n{CONFIGURATION}")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
        *("--seed", "1", "--continue-on-failure", "--generation-database", "none"),
        *("--suppress-health-check", "all", "--no-color", "--warnings", "off", *arguments),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (tested,) = re.findall(r"(\d+) generated, (\d+) passed", done.stdout)
    assert tested[0] == tested[1]
    return int(tested[0])


def successes(server: LiveServer) -> set[tuple[str, str]]:
    """Method and route of all 2xx responses."""
    text = httpx.get(f"{server.url}/metrics").text
    return {
        (sample.labels["method"], sample.labels["route"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "potoo_http_requests_total"
        and sample.labels["status"].startswith("2")
        and sample.value
    }


def test_admin_requests_conform_to_the_document(subject: LiveServer, tmp_path: Path) -> None:
    # A client has no session that it could sign out by accident.
    token = add_device(subject, scopes=list(Scope)).sign_in()["access_token"]
    post(subject, "/v1/admin/users", {"name": "colours", "password": "a long password"})
    header = f"authorization: {bearer(token)['authorization']}"
    assert run(subject, tmp_path, "--max-examples", "60", "--header", header) > 1000
    assert httpx.get(f"{subject.url}/v1/models", headers=bearer(token)).status_code == 200
    assert successes(subject) >= {
        *(("POST", "/v1/classify"), ("GET", "/v1/models/{name}"), ("GET", "/v1/auth/sessions")),
        *(("GET", "/v2/models/{name}/versions/{version}/config"), ("POST", "/v2/repository/index")),
        *(("GET", "/v1/admin/users"), ("POST", "/v1/admin/users")),
        *(("GET", "/v1/admin/clients"), ("POST", "/v1/admin/clients")),
        *(("PATCH", "/v1/admin/users/{name}"), ("DELETE", "/v1/admin/users/{name}")),
        ("PUT", "/v1/admin/users/{name}/password"),
        *(("POST", "/v1/models/{name}/versions/{version}/promote"), ("POST", "/v1/preprocess")),
    }


def test_unauthenticated_requests_conform_to_the_document(
    subject: LiveServer, tmp_path: Path
) -> None:
    arguments = ("--max-examples", "15", "--phases", "coverage,fuzzing")
    assert run(subject, tmp_path, *arguments) > 100


def test_compatibility_requests_conform_to_the_document(tmp_path: Path) -> None:
    with opened(tmp_path) as live:
        header = (
            f"authorization: {bearer(live.token('classify infer models:read'))['authorization']}"
        )
        arguments = ("--max-examples", "40", "--include-tag", "compatibility")
        assert run(live, tmp_path, *arguments, "--header", header) > 300
        assert successes(live) >= {
            ("GET", "/v1/models/{name}/labels/{label}/metadata"),
            ("GET", "/v1/models/{name}/versions/{version}"),
            ("GET", "/ping"),
        }
