"""One photo through every endpoint with a summary: equal summaries in each protocol's format."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict

from schemas.pb import potoo_pb2
from tests.support.callers.rpc import Client, connected
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import GROUPED, MEASURED, write_model, write_multi_label
from tests.support.servers.server import serve

pytestmark = pytest.mark.process

SCOPES = "classify"
MEMBERS = ("summary", "labels_present", "abstained", "calibrated")
PNG = {"content-type": "image/png"}
Summed = dict[str, Any]
"""The summary members of an answer, named as in ``/v1/classify``."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One photo, and the clients to send it to an endpoint."""

    client: httpx.Client
    rpc: Client
    model: str
    photo: bytes

    def post(self, path: str = "/v1/classify", **options: Any) -> Any:
        answer = self.client.post(path, params={"model": self.model}, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


def raw_body(visit: Visit) -> Summed:
    return summed(visit.post(content=visit.photo, headers=PNG))


def multipart(visit: Visit) -> Summed:
    return summed(visit.post(files={"file": visit.photo}))


def base64_json(visit: Visit) -> Summed:
    return summed(visit.post(json={"image": base64.b64encode(visit.photo).decode()}))


def batch(visit: Visit) -> Summed:
    answer = visit.post("/v1/classify/batch", files=[("files", visit.photo)])
    return summed(answer["results"][0]["result"])


def grpc_predict(visit: Visit) -> Summed:
    """Map fields that gRPC leaves out to JSON null; a repeated field is empty instead."""
    request = potoo_pb2.PredictRequest(image_data=visit.photo, model=visit.model)
    answer = visit.rpc.ask("Predict", request)
    words = MessageToDict(answer.summary, always_print_fields_with_no_presence=True)
    return {
        "summary": {"perhaps": None} | words if answer.HasField("summary") else None,
        "labels_present": list(answer.labels_present),
        "abstained": answer.abstained,
        "calibrated": answer.calibrated,
    }


# Add new endpoints with a summary here.
DOORS: tuple[Callable[[Visit], Summed], ...] = (
    *(raw_body, multipart, base64_json, batch),
    grpc_predict,
)
CASES: dict[str, tuple[str, tuple[int, int, int], Summed]] = {
    "a label": ("colours", RED, {"label": "red", "level": 0, "labels_present": []}),
    "a group": ("colours", (0, 255, 230), {"label": "cool colour", "level": 1, "perhaps": "green"}),
    "not sure": ("colours", (90, 90, 90), {"abstained": True, "labels_present": []}),
    "two labels": ("many", (255, 255, 0), {"labels_present": ["red", "green"]}),
    "no label": ("many", (0, 0, 0), {"labels_present": [], "abstained": True}),
}
"""Model, colour of the photo, and required members of the answer."""


def summed(answer: dict[str, Any]) -> Summed:
    """The summary members of an answer; the list as gRPC represents it."""
    found = {name: answer[name] for name in MEMBERS}
    return found | {"labels_present": found["labels_present"] or []}


def flat(found: Summed) -> Summed:
    """Merge the summary's members with the others, to compare some of them."""
    summary = found["summary"] or {}
    perhaps = summary.get("perhaps")
    return found | summary | ({"perhaps": perhaps["label"]} if perhaps else {})


def about(scored: dict[str, Any] | None) -> dict[str, Any] | None:
    """A summary with the tolerance of 32-bit floats."""
    if scored is None:
        return None
    near = scored | {"score": pytest.approx(scored["score"], abs=1e-5)}
    return near | ({"perhaps": about(scored["perhaps"])} if "perhaps" in scored else {})


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Client]]:
    """Over HTTP and over gRPC, at a model with groups and a multi-label one."""
    models = tmp_path_factory.mktemp("models")
    write_model(models, None, **GROUPED, **MEASURED)
    write_multi_label(models, {"thresholds": [0.5, 0.5, 0.9]}, name="many")
    folder = tmp_path_factory.mktemp("doors")
    environment = {"POTOO_GRPC_PORT": "0", "POTOO_DEFAULT_MODEL": "colours"}
    with (
        serve(folder, models=models, arguments=(), **environment) as live,
        live.client(SCOPES) as client,
        connected(live, SCOPES) as rpc,
    ):
        yield client, rpc


@pytest.mark.parametrize("case", CASES)
def test_every_endpoint_gives_the_same_summary(
    callers: tuple[httpx.Client, Client], case: str
) -> None:
    model, colour, wanted = CASES[case]
    visit = Visit(*callers, model, plain(colour))
    expected = raw_body(visit)
    seen = flat(expected)
    assert {name: seen[name] for name in wanted} == wanted
    assert expected["calibrated"] is (model == "colours")
    expected["summary"] = about(expected["summary"])
    for door in DOORS:
        assert door(visit) == expected, door.__name__
