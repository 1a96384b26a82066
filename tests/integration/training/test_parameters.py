"""Workers pull and push over HTTP: a model is trained, also across a kill of the server."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from schemas.quantised import Quantiser
from schemas.tensor_file import Stored, decode, encode
from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.servers.server import LiveServer, serve

RUNS, WIDTH, SHARDS = "/v1/parameters", 6, ((0, 70), (70, 200))
OCTETS = {"content-type": "application/octet-stream"}
DICE = np.random.default_rng(0)
ROWS_ND = DICE.normal(size=(200, WIDTH)).astype(np.float32)
TRUE_D = DICE.normal(size=WIDTH)
WANTED_N = (ROWS_ND @ TRUE_D > 0).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", folder / "everyday")
    return folder


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serve(tmp_path_factory.mktemp("server"), models=models) as live:
        yield live


@pytest.fixture(scope="module")
def caller(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("train") as client:
        yield client


def begin(caller: httpx.Client, name: str, **options: Any) -> str:
    """Add a run with parameters; return its place."""
    added = caller.post(RUNS, json={"name": name, "accounts": [], **options})
    assert added.status_code == 201, added.text
    first = {"w": np.zeros(WIDTH, np.float32), "b": np.zeros((), np.float32)}
    begun = caller.put(f"{RUNS}/{name}", content=encode(first), headers=OCTETS)
    assert begun.status_code == 200, begun.text
    assert begun.json()["version"] == 1
    return f"{RUNS}/{name}"


def pull(caller: httpx.Client, place: str) -> tuple[str, Stored]:
    """The version and the parameters."""
    pulled = caller.get(place).raise_for_status()
    return pulled.headers["etag"], decode(pulled.content)


def gradients(values: Stored, shard: int) -> tuple[dict[str, np.ndarray], int]:
    """Those of logistic regression on a shard, and how many samples it has."""
    rows = slice(*SHARDS[shard])
    scores_N = 1 / (1 + np.exp(-(ROWS_ND[rows] @ values["w"] + values["b"])))
    left_N = (scores_N - WANTED_N[rows]).astype(np.float32)
    found = {"w": ROWS_ND[rows].T @ left_N / len(left_N), "b": np.asarray(left_N.mean())}
    return {name: np.asarray(one, np.float32) for name, one in found.items()}, len(left_N)


def push(
    caller: httpx.Client, place: str, etag: str, update: Stored, samples: int, worker: int = 0
) -> httpx.Response:
    return caller.post(
        f"{place}/gradients",
        params={"samples": samples, "worker": f"w{worker}"},
        content=encode(update),
        headers={**OCTETS, "if-match": etag},
    )


def round_of_all(caller: httpx.Client, place: str, quantisers: list[Quantiser] | None) -> None:
    etag, values = pull(caller, place)
    for shard in range(len(SHARDS)):
        update, samples = gradients(values, shard)
        stored = update if quantisers is None else quantisers[shard](update)
        pushed = push(caller, place, etag, stored, samples, shard)
        assert pushed.status_code == 200, pushed.text
        assert pushed.json()["is_applied"] == (shard == len(SHARDS) - 1)


def right(values: Stored) -> float:
    return float(((ROWS_ND @ values["w"] + values["b"] > 0) == (WANTED_N > 0)).mean())


@pytest.mark.parametrize("is_quantised", [False, True])
@pytest.mark.parametrize(
    "optimiser",
    [{"kind": "sgd", "learning_rate": 1, "momentum": 0.9}, {"kind": "adam", "learning_rate": 0.2}],
)
def test_workers_train_a_model(
    caller: httpx.Client, optimiser: dict[str, Any], is_quantised: bool
) -> None:
    name = f"{optimiser['kind']}-{int(is_quantised)}"
    place = begin(caller, name, optimiser=optimiser, minimum=2)
    quantisers = [Quantiser() for _ in SHARDS] if is_quantised else None
    for _ in range(25):
        round_of_all(caller, place, quantisers)
    etag, values = pull(caller, place)
    assert etag == '"26"'
    assert right(values) > 0.95
    state = caller.get(f"{place}/state").json()
    assert (state["pushes"], state["samples"]) == (50, 25 * 200)


def test_two_shards_give_the_step_of_all_samples(caller: httpx.Client) -> None:
    place = begin(caller, "shards", minimum=2, optimiser={"kind": "sgd", "learning_rate": 1})
    _, first = pull(caller, place)
    round_of_all(caller, place, None)
    _, values = pull(caller, place)
    left_N = 1 / (1 + np.exp(-(ROWS_ND @ first["w"]))) - WANTED_N
    assert np.allclose(values["w"], -(ROWS_ND.T @ left_N) / len(left_N), atol=1e-5)


def test_an_unchanged_version_is_not_sent_again(caller: httpx.Client) -> None:
    place = begin(caller, "unchanged")
    same = caller.get(place, headers={"if-none-match": '"1"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"')
    assert caller.get(place, headers={"if-none-match": '"7"'}).status_code == 200


def test_stale_and_repeated_pushes_are_refused_and_counted(caller: httpx.Client) -> None:
    place = begin(caller, "stale", max_staleness=1)
    etag, values = pull(caller, place)
    update, samples = gradients(values, 0)
    assert push(caller, place, etag, update, samples, 1).json()["version"] == 2
    repeated = push(caller, place, etag, update, samples, 1)
    assert (repeated.status_code, repeated.json()["code"]) == (409, "conflict")
    assert push(caller, place, etag, update, samples, 2).json()["version"] == 3
    stale = push(caller, place, etag, update, samples, 3)
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert "2 steps behind" in stale.json()["detail"]
    ahead = push(caller, place, '"9"', update, samples, 3)
    assert ahead.status_code == 409
    state = caller.get(f"{place}/state").json()
    assert (state["version"], state["stale"], state["refused"]) == (3, 1, 1)


def test_gradients_that_do_not_fit_are_refused_by_name(caller: httpx.Client) -> None:
    place = begin(caller, "misfits")
    etag, values = pull(caller, place)
    update, samples = gradients(values, 0)

    def fault(update: Stored, samples: int = samples) -> str:
        answer = push(caller, place, etag, update, samples)
        assert (answer.status_code, answer.json()["code"]) == (422, "update_refused")
        return str(answer.json()["errors"][0]["detail"]).partition(":")[0]

    assert fault({"w": update["w"]}) == "wrong_shape"
    assert fault({**update, "w": update["w"][:-1]}) == "wrong_shape"
    assert fault({**update, "w": update["w"] * np.float32(np.nan)}) == "not_finite"
    assert fault({**update, "w": np.full(WIDTH, 1e20, np.float32)}) == "too_large"
    assert fault(update, 9) == "too_few"
    without = caller.post(
        f"{place}/gradients", params={"samples": 50}, content=encode(update), headers=OCTETS
    )
    assert without.json()["code"] == "invalid_parameter"
    garbage = caller.post(
        f"{place}/gradients",
        params={"samples": 50},
        content=b"garbage",
        headers={**OCTETS, "if-match": etag},
    )
    assert garbage.json()["code"] == "update_refused"
    assert pull(caller, place)[0] == etag


def test_accounts_that_are_not_of_the_run_are_refused(
    server: LiveServer, caller: httpx.Client
) -> None:
    place = begin(caller, "closed")
    with server.client("admin") as admin:
        added = admin.post("/v1/admin/clients", json={"name": "worker", "scopes": ["train"]})
        secret = added.raise_for_status().json()["secret"]
    form = {"grant_type": "client_credentials", "client_id": "worker", "client_secret": secret}
    token = caller.post("/v1/auth/token", data=form).raise_for_status().json()["access_token"]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}) as other:
        refused = [
            other.get(place),
            other.get(f"{place}/state"),
            other.delete(place),
            push(other, place, '"1"', {"w": np.zeros(WIDTH, np.float32)}, 50),
        ]
        assert {one.json()["code"] for one in refused} == {"site_forbidden"}
        assert other.get(RUNS).json()["runs"] == []
    assert caller.delete(place).status_code == 204
    assert caller.get(place).status_code == 404


def test_a_run_goes_on_after_the_server_was_killed(models: Path, tmp_path: Path) -> None:
    with serve(tmp_path, models=models) as first:
        with first.client("train") as caller:
            place = begin(
                caller,
                "killed",
                minimum=2,
                optimiser={"kind": "sgd", "learning_rate": 1, "momentum": 0.9},
            )
            round_of_all(caller, place, None)
            etag, values = pull(caller, place)
            update, samples = gradients(values, 0)
            assert push(caller, place, etag, update, samples, 0).json()["waiting"] == 1
        os.kill(first.process.pid, signal.SIGKILL)
    with serve(tmp_path, models=models) as second, second.client("train") as caller:
        state = caller.get(f"{place}/state").json()
        assert (state["version"], state["waiting"]) == (2, 1)
        again, kept = pull(caller, place)
        assert again == etag
        assert np.array_equal(kept["w"], values["w"])
        update, samples = gradients(kept, 1)
        assert push(caller, place, again, update, samples, 1).json()["version"] == 3
        for _ in range(20):
            round_of_all(caller, place, None)
        assert right(pull(caller, place)[1]) > 0.95
