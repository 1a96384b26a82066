"""Rate limits and quotas over HTTP: 429, and headers with the remaining quota."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.support.callers.accounts import TOKEN_URL, add_device, add_person, bearer, oauth_error
from tests.support.callers.answers import problem_of, refusal
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve

RATE_LIMITED = (429, "rate_limited")
HEADERS = {"ratelimit", "ratelimit-policy"}
STATE = re.compile(r'"([a-z0-9-]+)";r=(\d+);t=(\d+)')


def left(answer: httpx.Response) -> dict[str, int]:
    """Remaining requests by policy."""
    states = answer.headers["ratelimit"].split(", ")
    found = [STATE.fullmatch(state) for state in states]
    assert all(found), states
    return {match[1]: int(match[2]) for match in found if match and int(match[3]) >= 1}


def classify(server: LiveServer, token: str) -> httpx.Response:
    headers = bearer(token) | {"content-type": "image/png"}
    return httpx.post(f"{server.url}/v1/classify", content=plain(), headers=headers)


def test_principal_has_a_rate_and_a_quota(tmp_path: Path, colours: Path) -> None:
    rate = "3/minute; 100/day"
    with serve(tmp_path, models=colours, POTOO_AUTH__RATE_PER_PRINCIPAL=rate) as server:
        device, other = add_device(server), add_device(server)
        token = device.sign_in()["access_token"]
        answers = [
            classify(server, token),  # a route that FastAPI does not run
            httpx.get(f"{server.url}/v1/models", headers=bearer(token)),
            httpx.get(f"{server.url}/v1/models/nope", headers=bearer(token)),
            classify(server, token),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 404, 429]
        policy = '"principal-60";q=3;w=60, "principal-86400";q=100;w=86400'
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {policy}
        assert [left(answer)["principal-60"] for answer in answers] == [2, 1, 0, 0]
        assert [left(answer)["principal-86400"] for answer in answers][:3] == [99, 98, 97]
        problem = problem_of(answers[3])
        assert problem["code"] == "rate_limited"
        assert int(answers[3].headers["retry-after"]) <= 120
        # Refused requests did not count against the daily quota.
        assert (
            left(answers[3])["principal-86400"] == left(classify(server, token))["principal-86400"]
        )
        # A second token is the same principal, another account is not.
        assert refusal(classify(server, device.sign_in()["access_token"])) == RATE_LIMITED
        assert classify(server, other.sign_in()["access_token"]).status_code == 200
        assert httpx.get(f"{server.url}/healthz").headers.keys().isdisjoint(HEADERS)


def test_address_rate_applies_to_every_caller(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours, POTOO_AUTH__RATE_PER_ADDRESS="10/hour") as server:
        tokens = [server.token()]  # the first of ten
        for number in range(9):
            headers = {"x-forwarded-for": f"192.0.2.{number}", "x-real-ip": f"192.0.2.{number}"}
            if number % 2:
                headers |= bearer(tokens[0])
            answer = httpx.get(f"{server.url}/v1/models", headers=headers)
            assert answer.status_code == (200 if number % 2 else 401)
            assert left(answer) == {"address-3600": 8 - number}
        for headers in ({}, bearer(tokens[0]), {"x-forwarded-for": "198.51.100.1"}):
            answer = httpx.get(f"{server.url}/v1/models", headers=headers)
            assert refusal(answer) == RATE_LIMITED
            assert int(answer.headers["retry-after"]) <= 2 * 3600
        assert refusal(classify(server, tokens[0])) == RATE_LIMITED
        # Sign-in, refresh and sign-out count against the address too.
        for path in ("token", "revoke", "introspect"):
            answer = httpx.post(f"{server.url}/v1/auth/{path}", data={"token": "x"})
            assert oauth_error(answer) == (429, "slow_down")
            assert left(answer) == {"address-3600": 0}
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_principal_and_address_limits_are_both_shown(tmp_path: Path, colours: Path) -> None:
    with serve(
        tmp_path,
        models=colours,
        POTOO_AUTH__RATE_PER_PRINCIPAL="50/minute",
        POTOO_AUTH__RATE_PER_ADDRESS="100/minute",
    ) as server:
        person = add_person(server)
        answer = httpx.post(server.url + TOKEN_URL, data=person.form())
        assert set(left(answer)) == {"address-60"}
        answer = classify(server, answer.json()["access_token"])
        assert answer.headers["ratelimit-policy"] == (
            '"address-60";q=100;w=60, "principal-60";q=50;w=60'
        )
        assert left(answer)["principal-60"] == 49
        assert set(answer.headers) >= HEADERS


@pytest.mark.parametrize("path", ["/v1/models", "/v1/classify", TOKEN_URL])
def test_rate_headers_are_absent_without_limits(client: httpx.Client, path: str) -> None:
    assert client.get(path).headers.keys().isdisjoint(HEADERS)
