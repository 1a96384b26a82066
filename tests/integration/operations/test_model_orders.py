"""Model control over HTTP: authorisation and refusals."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.serving import POLICY_FILE, REPOSITORY_FILE
from tests.support.callers.accounts import add_device, add_person
from tests.support.models.tiny_model import write_model
from tests.support.servers.model_shop import Shop, add_beside, opened, unnamed
from tests.support.waiting import wait_until


def test_model_orders_require_scope_and_model_access(shop: Shop) -> None:
    orders = [f"colours/versions/1/{verb}" for verb in ("load", "unload", "promote")]
    reader = shop.server.token("models:read classify")
    device = add_device(shop.server, scopes=["models:read", "models:write"], models=["other"])
    stranger = device.sign_in()["access_token"]
    for order in (*orders, "colours/rollback"):
        url = f"{shop.server.url}/v1/models/{order}"
        codes = []
        for token in (None, reader, stranger):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = httpx.post(url, headers=headers)
            codes.append((answer.status_code, answer.json()["code"]))
        assert codes == [
            (401, "unauthenticated"),
            (403, "insufficient_scope"),
            (403, "model_forbidden"),
        ]
    assert shop.states() == {1: "READY"}
    for token, code in ((reader, "insufficient_scope"), (stranger, "model_forbidden")):
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.put(f"{shop.server.url}/v1/models/colours/default", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_restricted_account_cannot_displace_anothers_default_model(shop: Shop) -> None:
    add_beside(shop.models, shop.spare)
    assert wait_until(lambda: shop.put("other/default").status_code == 200)
    device = add_device(shop.server, scopes=["models:write"], models=["colours"])
    headers = {"authorization": f"Bearer {device.sign_in()['access_token']}"}
    answer = httpx.put(f"{shop.server.url}/v1/models/colours/default", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "model_forbidden")
    assert unnamed(shop.server) == "other"


def test_failure_reason_is_hidden_from_readers(shop: Shop) -> None:
    shutil.copytree(
        write_model(shop.spare, None, version=2, labels=["one"]), shop.models / "colours/2"
    )
    assert wait_until(lambda: shop.states().get(2) == "FAILED")
    person = add_person(shop.server).sign_in()
    headers = {"authorization": f"Bearer {person['access_token']}"}
    for path in ("/v1/models", "/v1/models/colours"):
        body = httpx.get(shop.server.url + path, headers=headers).json()
        versions = (body["models"][0] if "models" in body else body)["versions"]
        assert [version["reason"] for version in versions] == [None, None]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("colours/versions/9/promote", 404),
        ("colours/versions/9/load", 404),
        ("colours/versions/9/unload", 404),
        ("nothing/versions/1/promote", 404),
        ("nothing/rollback", 404),
        ("..%2Fcolours/versions/1/load", 404),
        ("colours/versions/0/load", 422),
        ("colours/versions/-1/load", 422),
        ("colours/versions/1.5/load", 422),
        ("colours/versions/99999999999999999999/load", 422),
        ("colours/versions/latest/load", 422),
        ("colours/versions/1/promote?label=latest", 422),
        ("colours/versions/1/promote?label=a/b", 422),
        ("colours/versions/1/promote?keep_default=perhaps", 422),
        ("colours/rollback", 409),
    ],
)
def test_orders_for_unknown_models_or_versions_are_refused(
    shop_of_all: Shop, order: str, status: int
) -> None:
    answer = shop_of_all.client.post(f"/v1/models/{order}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert shop_of_all.ask() == 1


@pytest.fixture(scope="module")
def shop_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def test_unknown_model_cannot_be_chosen(shop_of_all: Shop) -> None:
    for name in ("nothing", "default", "..%2Fcolours"):
        assert shop_of_all.put(f"{name}/default").status_code == 404
    assert not (shop_of_all.models / REPOSITORY_FILE).exists()
    assert shop_of_all.ask() == 1


def test_unwritable_repository_refuses_orders(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as shop:
        # A folder in place of the policy file prevents the write for root too.
        (shop.models / "colours" / POLICY_FILE).mkdir()
        (shop.models / REPOSITORY_FILE).mkdir()
        for refused in (shop.post("colours/versions/1/promote"), shop.put("colours/default")):
            assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
            assert str(tmp_path) not in refused.text
        assert shop.ask() == 1
