"""Sites send sums over HTTP, and the head of all of them answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from schemas.federation import FederationBase
from service.federation.computing import site_sums
from service.federation.wire import encode
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.teach.features.extraction import Extractor
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import CLASSES, drawn

EACH = 15
FEDERATIONS = "/v1/federations"
OCTETS = {"content-type": "application/octet-stream"}
Features = Mapping[tuple[str, int], np.ndarray]
"""Of drawn photos, by class and number."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", models / "everyday")
    with serve(tmp_path_factory.mktemp("server"), models=models) as live:
        yield live


@pytest.fixture(scope="module")
def owner(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("train classify models:read models:write") as client:
        yield client


@pytest.fixture(scope="module")
def features() -> Features:
    extractor = Extractor(BUNDLED_MODELS / "everyday" / "1")
    return {
        (label, number): extractor.features(drawn(label, number))[0]
        for label in CLASSES
        for number in range(3 * EACH)
    }


def add(owner: httpx.Client, name: str, **options: Any) -> FederationBase:
    sites = {site: ["admin"] for site in ("north", "south", "west")} | {"east": ["other"]}
    body = {"name": name, "model": name, "base": "everyday", "sites": sites, **options}
    added = owner.post(FEDERATIONS, json=body)
    assert added.status_code == 201, added.text
    assert added.headers["location"] == f"{FEDERATIONS}/{name}"
    return FederationBase.model_validate(added.json()["base"])


def sums(
    features: Features,
    base: FederationBase,
    site: str,
    numbers: Mapping[str, range],
    *,
    names: tuple[str, ...] = CLASSES,
    sequence: int = 1,
) -> bytes:
    """The file of a site that has photos of these numbers, by class."""
    rows = [(label, number) for label, some in numbers.items() for number in some]
    labels_N = np.array([CLASSES.index(label) for label, _ in rows])
    given_ND = np.stack([features[row] for row in rows])
    return encode(site_sums(given_ND, labels_N, names, base, site=site, sequence=sequence))


def put(caller: httpx.Client, name: str, site: str, data: bytes) -> httpx.Response:
    return caller.put(f"{FEDERATIONS}/{name}/sites/{site}", content=data, headers=OCTETS)


def refusal(answer: httpx.Response) -> str:
    """The name of the fault that an update was refused for."""
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["code"] == "update_refused"
    return str(body["errors"][0]["detail"]).partition(":")[0]


def test_sites_with_a_class_each_make_a_model_that_answers(
    owner: httpx.Client, features: Features
) -> None:
    base = add(owner, "shapes")
    every = range(2 * EACH)
    north = sums(features, base, "north", {"disc": every})
    south = sums(features, base, "south", {"stripes": every}, names=("DISC", " Stripes"))
    assert put(owner, "shapes", "north", north).status_code == 200
    shown = put(owner, "shapes", "south", south).json()
    assert [(one["name"], one["sites"]) for one in shown["classes"]] == [
        ("Stripes", ["south"]),
        ("disc", ["north"]),
    ]
    published = owner.post(f"{FEDERATIONS}/shapes/publish", json={})
    assert published.status_code == 200, published.text
    assert published.json()["version"] == 1
    right = 0
    for label in CLASSES:
        for number in range(100, 110):
            answer = owner.post(
                "/v1/classify",
                params={"model": "shapes"},
                content=drawn(label, number),
                headers={"content-type": "image/png"},
            )
            right += answer.json()["predictions"][0]["label"].casefold() == label
    assert right >= 18


def test_a_forgotten_site_leaves_the_model_of_the_others(
    owner: httpx.Client, features: Features
) -> None:
    base = add(owner, "forgets")
    for place, site in enumerate(("north", "south", "west")):
        some = range(place * EACH, (place + 1) * EACH)
        data = sums(features, base, site, {"disc": some, "stripes": some})
        assert put(owner, "forgets", site, data).status_code == 200
    whole = owner.post(f"{FEDERATIONS}/forgets/publish", json={"dry_run": True}).json()
    assert (whole["photos"], whole["version"]) == (6 * EACH, None)
    assert [one["site"] for one in whole["sites"]] == ["north", "south", "west"]
    without = {"dry_run": True, "leave_out": ["south"]}
    left = owner.post(f"{FEDERATIONS}/forgets/publish", json=without).json()
    south = f"{FEDERATIONS}/forgets/sites/south"
    assert owner.delete(south).status_code == 204
    assert owner.post(f"{FEDERATIONS}/forgets/publish", json={"dry_run": True}).json() == left
    assert owner.delete(south).status_code == 404
    again = sums(features, base, "south", {"disc": range(EACH), "stripes": range(EACH)})
    assert refusal(put(owner, "forgets", "south", again)) == "replayed"


def test_updates_that_cannot_be_right_are_refused_by_name(
    owner: httpx.Client, features: Features
) -> None:
    base = add(owner, "refuses", classes=["disc", "stripes"])
    some = {"disc": range(EACH), "stripes": range(EACH)}
    good = sums(features, base, "north", some)
    assert put(owner, "refuses", "north", good).status_code == 200
    before = owner.get(f"{FEDERATIONS}/refuses").json()
    assert refusal(put(owner, "refuses", "north", good)) == "replayed"
    assert refusal(put(owner, "refuses", "south", good)) == "wrong_site"
    assert refusal(put(owner, "refuses", "north", good[:-1])) == "checksum"
    assert refusal(put(owner, "refuses", "north", b"")) == "malformed"
    few = sums(features, base, "north", {"disc": range(9)}, sequence=2)
    assert refusal(put(owner, "refuses", "north", few)) == "too_few"
    other = base.model_copy(update={"sha256": "0" * 64})
    wrong = sums(features, other, "north", some, sequence=2)
    assert refusal(put(owner, "refuses", "north", wrong)) == "wrong_base"
    names = sums(features, base, "north", some, names=("disc", "square"), sequence=2)
    assert refusal(put(owner, "refuses", "north", names)) == "classes"
    forged = put(owner, "refuses", "east", sums(features, base, "east", some))
    assert (forged.status_code, forged.json()["code"]) == (403, "site_forbidden")
    too_large = put(owner, "refuses", "north", bytes(17 * 2**20))
    assert too_large.status_code == 413
    json = owner.put(f"{FEDERATIONS}/refuses/sites/north", json={})
    assert json.status_code == 415
    assert owner.get(f"{FEDERATIONS}/refuses").json() == before


def test_only_the_owner_publishes_and_removes(
    server: LiveServer, owner: httpx.Client, features: Features
) -> None:
    base = add(owner, "owned")
    with server.client("admin") as admin:
        added = admin.post("/v1/admin/clients", json={"name": "other", "scopes": ["train"]})
        secret = added.raise_for_status().json()["secret"]
    form = {"grant_type": "client_credentials", "client_id": "other", "client_secret": secret}
    token = owner.post("/v1/auth/token", data=form).raise_for_status().json()["access_token"]
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}) as other:
        east = sums(features, base, "east", {"disc": range(EACH)})
        assert put(other, "owned", "east", east).status_code == 200
        refused = [
            put(other, "owned", "north", sums(features, base, "north", {"disc": range(EACH)})),
            other.post(f"{FEDERATIONS}/owned/publish", json={}),
            other.delete(f"{FEDERATIONS}/owned"),
            other.delete(f"{FEDERATIONS}/owned/sites/north"),
        ]
        assert {one.json()["code"] for one in refused} == {"site_forbidden"}
        assert other.delete(f"{FEDERATIONS}/owned/sites/east").status_code == 204
    assert owner.delete(f"{FEDERATIONS}/owned").status_code == 204
    assert owner.get(f"{FEDERATIONS}/owned").status_code == 404


def test_the_scope_is_required_and_bad_federations_refused(
    server: LiveServer, owner: httpx.Client
) -> None:
    with server.client("teach") as teacher:
        assert teacher.get(FEDERATIONS).json()["code"] == "insufficient_scope"
    add(owner, "taken")
    body = {"name": "taken", "model": "taken", "base": "everyday", "sites": {}}
    assert owner.post(FEDERATIONS, json=body).status_code == 409
    assert owner.post(FEDERATIONS, json={**body, "base": "nothing"}).status_code == 404
    assert owner.post(FEDERATIONS, json={**body, "name": "../x"}).status_code == 422
    chain = {"a": "b", "b": "c"}
    assert owner.post(FEDERATIONS, json={**body, "synonyms": chain}).status_code == 422
    publish = f"{FEDERATIONS}/taken/publish"
    assert owner.post(publish, json={}).json()["code"] == "conflict"
    assert "taken" in [one["name"] for one in owner.get(FEDERATIONS).json()["federations"]]


def test_the_command_writes_sums_that_the_server_takes(owner: httpx.Client, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from service.cli.commands import app

    add(owner, "commanded")
    for label in CLASSES:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(EACH):
            (tmp_path / "photos" / label / f"{number}.png").write_bytes(drawn(label, number))
    file = tmp_path / "north.sums"
    given = ["sites", "sums", str(tmp_path / "photos"), "--base", "everyday"]
    given += ["--models", str(BUNDLED_MODELS), "--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(app, [*given, "--output", str(file)])
    assert done.exit_code == 0, done.output
    assert "30 photos" in done.output
    shown = put(owner, "commanded", "north", file.read_bytes())
    assert shown.status_code == 200, shown.text
    (north,) = [one for one in shown.json()["sites"] if one["name"] == "north"]
    assert north["held_out"]["photos"] == 2 * EACH
    assert {one["name"]: one["photos"] for one in shown.json()["classes"]} == {
        "disc": EACH,
        "stripes": EACH,
    }
