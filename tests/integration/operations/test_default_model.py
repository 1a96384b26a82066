"""The default model is the same on every server of a repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import pytest

from schemas.pb import potoo_pb2
from schemas.serving import REPOSITORY_FILE
from service.core.repository.repository import Repository
from tests.support.callers.accounts import add_device
from tests.support.callers.rpc import Client, connected, refusal, refused
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.model_shop import (
    ALL,
    PNG,
    add_beside,
    branch,
    opened,
    publish,
    unnamed,
)
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until

NAME_ONE = (
    "Name one of these models: colours, other; or choose a default with "
    "'potoo models default NAME'."
)


def test_servers_sharing_a_repository_follow_one_choice(tmp_path: Path) -> None:
    models, spare = tmp_path / "models", tmp_path / "spare"
    publish(models, spare, 1)
    with ExitStack() as stack:
        servers = [stack.enter_context(branch(tmp_path / name, models)) for name in ("one", "two")]

        def all_answer(expected: str) -> bool:
            return {unnamed(server) for server in servers} == {expected}

        assert all_answer("colours")
        add_beside(models, spare, "aaa")
        assert wait_until(lambda: all("aaa" in listed(server) for server in servers))
        assert all_answer("colours"), "the first by name takes no place"
        with servers[0].client(ALL) as client:
            told = client.put("/v1/models/aaa/default").raise_for_status().json()
        assert told == {"chosen": "aaa", "answers": "aaa"}
        assert wait_until(lambda: all_answer("aaa"))
        Repository(models).choose_model("colours")
        assert wait_until(lambda: all_answer("colours"))
        Repository(models).choose_model(None)
        assert wait_until(lambda: all_answer(NAME_ONE.replace("colours, other", "aaa, colours")))


def listed(server: LiveServer) -> dict[str, dict[str, object]]:
    """Return the server's model list by name."""
    with server.client() as client:
        models = client.get("/v1/models").raise_for_status().json()["models"]
    return {model["name"]: model for model in models}


def test_every_worker_follows_a_changed_choice(tmp_path: Path) -> None:
    with opened(tmp_path, "--workers", "2") as shop:
        assert "  model:         colours 1 (default)\n" in shop.server.banner
        add_beside(shop.models, shop.spare)
        Repository(shop.models).choose_model("other")
        assert wait_until(lambda: {unnamed(shop.server) for _ in range(12)} == {"other"})


@pytest.fixture(scope="module")
def undecided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that started with two models and no choice of a default."""
    folder = tmp_path_factory.mktemp("undecided")
    for name in ("colours", "other"):
        write_model(folder / "models", None, name=name)
    environment = {"POTOO_GRPC_PORT": "0", "POTOO_COMPATIBILITY__PREDICT": "true"}
    with branch(folder, folder / "models", **environment) as live:
        yield live


def test_server_without_a_default_starts_with_a_warning(undecided: LiveServer) -> None:
    line = "  model:         colours 1, other 1 (no default: calls must name one)\n"
    assert line in undecided.banner
    assert httpx.get(f"{undecided.url}/readyz").json()["ready"] is True
    events = [json.loads(line) for line in undecided.events().splitlines()]
    (ready,) = [event for event in events if event["event"] == "ready"]
    assert (ready["models"], ready["default"]) == (["colours", "other"], None)
    (warning,) = [event for event in events if event["level"] == "warning"]
    assert "potoo models default NAME" in warning["event"]
    assert {
        name: (model["default"], model["calibrated"]) for name, model in listed(undecided).items()
    } == {"colours": (False, False), "other": (False, False)}


def test_unnamed_calls_are_refused_listing_the_models(undecided: LiveServer) -> None:
    picture = plain(RED)
    with undecided.client() as client:
        refused = [
            client.post("/v1/classify", content=picture, headers=PNG),
            client.post("/v1/classify/batch", files=[("files", picture)]),
            client.post("/predict", files={"image": picture}),
        ]
        named = client.post("/v1/classify?model=other", content=picture, headers=PNG)
    for answer in refused:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "model_not_chosen")
        assert problem["detail"] == NAME_ONE
    assert named.json()["model"] == {"name": "other", "version": 1}


def test_unnamed_calls_over_grpc_are_refused(undecided: LiveServer) -> None:
    request = potoo_pb2.PredictRequest(image_data=plain(RED))
    with connected(undecided) as client:
        assert refusal(lambda: client.ask("Predict", request)) == (
            "FAILED_PRECONDITION",
            "model_not_chosen",
        )
        request.model = "other"
        assert client.ask("Predict", request).model_name == "other"


def test_restricted_account_sees_only_its_own_models(undecided: LiveServer) -> None:
    device = add_device(undecided, models=["other"])
    token = device.sign_in()["access_token"]
    assert unnamed(undecided, token) == NAME_ONE.replace("colours, other", "other")
    headers = {"authorization": f"Bearer {token}"}
    batch = httpx.post(
        f"{undecided.url}/v1/classify/batch", files=[("files", plain(RED))], headers=headers
    )
    assert (batch.status_code, "colours" in batch.text) == (409, False)
    request = potoo_pb2.PredictRequest(image_data=plain(RED))
    with connected(undecided, None) as nobody:
        client = Client(nobody.channel, token)
        with pytest.raises(grpc.RpcError) as caught:
            client.ask("Predict", request)
    assert refused(caught.value) == ("FAILED_PRECONDITION", "model_not_chosen")
    assert caught.value.details() == NAME_ONE.replace("colours, other", "other")


def test_account_without_models_sees_no_model_names(undecided: LiveServer) -> None:
    device = add_device(undecided, models=["birds"])
    told = unnamed(undecided, device.sign_in()["access_token"])
    assert told == "Name a model; or choose a default with 'potoo models default NAME'."


def test_manually_edited_choice_takes_effect(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        add_beside(shop.models, shop.spare)
        (shop.models / REPOSITORY_FILE).write_text('{"default_model": "other"}')
        assert wait_until(lambda: unnamed(shop.server) == "other")
        shown = listed(shop.server)
        assert [shown[name]["default"] for name in ("colours", "other")] == [False, True]
        assert "default model changed" in shop.server.events()
        refused = shop.client.post("/v2/repository/models/other/unload")
        assert refused.status_code == 409
