"""The web page's session in a cookie: protected against CSRF, and valid for no other route."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.callers.accounts import TOKEN_URL, Person, bearer, holds, oauth_error, refreshed
from tests.support.servers.server import LiveServer

PAGE = "/v1/auth/page"
OWN = {"sec-fetch-site": "same-origin"}
OTHER_PAGES = {
    "another site": {"sec-fetch-site": "cross-site"},
    "another subdomain": {"sec-fetch-site": "same-site"},
    "typed, or not from a page": {"sec-fetch-site": "none"},
    "another site, forged origin": {"sec-fetch-site": "cross-site", "origin": "{url}"},
    "no browser": {},
    "another origin": {"origin": "http://attacker.example"},
    "another port": {"origin": "http://127.0.0.1:9"},
    "a sandboxed frame": {"origin": "null"},
    "a longer name": {"origin": "{url}.attacker.example"},
    "no scheme": {"origin": "://127.0.0.1"},
}


@pytest.fixture
def browser(server: LiveServer, person: Person) -> Iterator[httpx.Client]:
    """Signed in on the page, with the cookie."""
    with httpx.Client(base_url=server.url, headers=OWN) as client:
        signed_in(client, person)
        yield client


def signed_in(client: httpx.Client, person: Person) -> httpx.Response:
    form = {"username": person.name, "password": person.password, "scope": "classify"}
    return client.post(f"{PAGE}/sign-in", data=form).raise_for_status()


def cookie_of(client: httpx.Client) -> str:
    (cookie,) = client.cookies.jar
    assert cookie.value
    return cookie.value


def devices(person: Person, token: str) -> int:
    url = f"{person.server.url}/v1/auth/sessions"
    return len(httpx.get(url, headers=bearer(token)).raise_for_status().json()["sessions"])


def test_refresh_token_is_in_the_cookie_alone(server: LiveServer, person: Person) -> None:
    with httpx.Client(base_url=server.url, headers=OWN) as client:
        answer = signed_in(client, person)
        token = cookie_of(client)
        assert token.startswith("prt_")
        assert token not in answer.text
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope", "name"}
        assert answer.json()["name"] == person.name
        assert answer.headers["cache-control"] == "no-store"
        port = server.url.rpartition(":")[2]
        assert answer.headers.get_list("set-cookie") == [
            f"potoo_session_{port}={token}; Max-Age=2592000; HttpOnly; SameSite=Strict"
        ]
        (cookie,) = client.cookies.jar
        assert cookie.path == PAGE, "bound to the folder of the address"


def test_each_refresh_rotates_the_cookie(browser: httpx.Client) -> None:
    first = cookie_of(browser)
    answer = browser.post(f"{PAGE}/refresh")
    assert answer.status_code == 200
    assert cookie_of(browser) != first
    assert first not in answer.text
    assert cookie_of(browser) not in answer.text


@pytest.mark.parametrize("headers", OTHER_PAGES.values(), ids=OTHER_PAGES)
@pytest.mark.parametrize("action", ["sign-in", "refresh", "sign-out"])
def test_other_pages_are_refused(
    server: LiveServer, browser: httpx.Client, person: Person, action: str, headers: dict[str, str]
) -> None:
    token, sent = cookie_of(browser), {n: v.format(url=server.url) for n, v in headers.items()}
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    form = {"username": person.name, "password": person.password}
    answer = httpx.post(
        f"{server.url}{PAGE}/{action}", data=form, headers=sent | {"cookie": cookies}
    )
    assert answer.status_code == 403
    assert oauth_error(answer) == (403, "invalid_request")
    assert "set-cookie" not in answer.headers
    assert browser.post(f"{PAGE}/refresh").status_code == 200, "the session went on"
    assert cookie_of(browser) != token


def test_own_origin_is_enough_where_browsers_send_no_fetch_metadata(
    server: LiveServer, person: Person
) -> None:
    with httpx.Client(base_url=server.url, headers={"origin": server.url}) as client:
        signed_in(client, person)
        assert client.post(f"{PAGE}/refresh").status_code == 200


def test_get_is_no_way_in(browser: httpx.Client) -> None:
    for action in ("sign-in", "refresh", "sign-out"):
        assert browser.get(f"{PAGE}/{action}").status_code == 405


def test_cookie_opens_nothing_but_the_pages_own_endpoints(
    server: LiveServer, browser: httpx.Client
) -> None:
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    headers = OWN | {"cookie": cookies}
    for path in ("/v1/models", "/v1/auth/sessions", "/v1/admin/users"):
        assert httpx.get(server.url + path, headers=headers).status_code == 401
    for path in ("/v1/classify", "/v1/classify/batch"):
        assert httpx.post(server.url + path, content=b"", headers=headers).status_code == 401
    form = {"grant_type": "refresh_token"}
    answer = httpx.post(server.url + TOKEN_URL, data=form, headers=headers)
    assert oauth_error(answer) == (400, "invalid_request")
    assert "set-cookie" not in answer.headers


def test_form_token_is_not_taken_for_the_cookie(server: LiveServer, person: Person) -> None:
    token = person.sign_in()["refresh_token"]
    answer = httpx.post(f"{server.url}{PAGE}/refresh", data={"refresh_token": token}, headers=OWN)
    assert (answer.status_code, answer.content) == (204, b"")
    assert refreshed(server, token).status_code == 200


def test_bearer_sign_in_sets_no_cookie(server: LiveServer, person: Person) -> None:
    answer = httpx.post(server.url + TOKEN_URL, data=person.form(), headers=OWN)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


def test_sign_ins_of_one_browser_do_not_pile_up(browser: httpx.Client, person: Person) -> None:
    for _ in range(3):
        answer = signed_in(browser, person)
    assert devices(person, answer.json()["access_token"]) == 1


def test_sign_out_ends_the_session_and_deletes_the_cookie(
    server: LiveServer, browser: httpx.Client
) -> None:
    issued = browser.post(f"{PAGE}/refresh").json()
    token = cookie_of(browser)
    assert browser.post(f"{PAGE}/sign-out").status_code == 204
    assert list(browser.cookies.jar) == []
    assert not holds(server, issued["access_token"])
    assert oauth_error(refreshed(server, token)) == (400, "invalid_grant")
    assert browser.post(f"{PAGE}/refresh").status_code == 204


@pytest.mark.parametrize("value", ["nonsense", "prt_nonsense", "prt_" + "A" * 64])
def test_cookie_that_is_no_session_is_deleted(server: LiveServer, value: str) -> None:
    port = server.url.rpartition(":")[2]
    headers = OWN | {"cookie": f"potoo_session_{port}={value}"}
    answer = httpx.post(f"{server.url}{PAGE}/refresh", headers=headers)
    assert oauth_error(answer) == (400, "invalid_grant")
    assert f"potoo_session_{port}=; Max-Age=0" in answer.headers["set-cookie"]


def test_endpoints_are_not_part_of_the_documented_api(server: LiveServer) -> None:
    document = httpx.get(f"{server.url}/openapi.json", headers=bearer(server.token("admin")))
    assert "/v1/auth/token" in document.text
    assert PAGE not in document.text
