"""PostgreSQL or Redis stops or hangs: 503, never a wrong 200, then recovery."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.servers.account_server import (
    AccountServer,
    is_refused_for_now,
    open_account_server,
    refused_start,
)
from tests.support.servers.databases import (
    free_port,
    postgres_folder,
    postgres_server,
    redis_server,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

OUTAGE_SECONDS = 5
"""Tokens are refused after this time without the store."""


@dataclass
class Store:
    """A PostgreSQL that can be stopped and started again."""

    folder: Path
    port: int
    url: str = ""
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.url = self.running.enter_context(postgres_server(self.folder, self.port))

    def stop(self) -> None:
        self.running.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it listen but not respond."""
        mine = psutil.Process().children()
        (postmaster,) = (one for one in mine if str(self.folder / "data") in one.cmdline())
        stopped: list[psutil.Process] = []
        # Do this first: no new processes start afterwards.
        while found := [p for p in (postmaster, *postmaster.children()) if p not in stopped]:
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            stopped += found
        try:
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with postgres_folder() as folder:
        postgres = Store(folder, free_port())
        yield postgres
        postgres.stop()


@pytest.fixture(scope="module")
def shop_with_store(
    tmp_path_factory: pytest.TempPathFactory, colours: Path, store: Store
) -> Iterator[AccountServer]:
    store.start()
    environment = {
        "POTOO_DATABASE_URL": store.url,
        "POTOO_AUTH__STORE_OUTAGE_SECONDS": str(OUTAGE_SECONDS),
        "POTOO_AUTH__REFRESH_GRACE_SECONDS": "0",
    }
    with open_account_server(tmp_path_factory.mktemp("shop"), colours, **environment) as shop:
        yield shop


@pytest.fixture
def shop(shop_with_store: AccountServer, store: Store) -> Iterator[AccountServer]:
    """A server whose store runs before and after each test."""
    assert wait_until(lambda: shop_with_store.ready().is_success)
    yield shop_with_store
    store.stop()
    store.start()


# PostgreSQL stops


def test_unavailable_store_grants_nothing(shop: AccountServer, store: Store) -> None:
    store.stop()
    for name, request in shop.requests().items():
        answer = request()
        assert is_refused_for_now(answer), f"{name}: {answer.status_code} {answer.text}"
    assert shop.app.call("GET", "/v1/models", "forged").status_code in {401, 503}
    assert "Traceback" not in shop.server.events()


def test_tokens_stay_valid_for_a_limited_store_outage(shop: AccountServer, store: Store) -> None:
    assert shop.classify() == 200
    store.stop()
    assert shop.classify() == 200
    assert shop.ready().json()["store"] is True
    assert wait_until(lambda: shop.classify() == 503, pause=0.1)
    unready = shop.ready()
    assert unready.status_code == 503
    assert unready.json() == {"ready": False, "models": {"colours": True}, "store": False}
    assert is_refused_for_now(shop.app.call("GET", "/v1/models", shop.tokens["access_token"]))
    assert "store does not answer" in shop.server.events()
    store.start()
    assert wait_until(lambda: shop.ready().status_code == 200)
    assert shop.classify() == 200


def test_requests_succeed_again_after_the_store_returns(shop: AccountServer, store: Store) -> None:
    tokens = shop.app.sign_in().json()
    store.stop()
    assert is_refused_for_now(shop.app.refresh(tokens["refresh_token"]))
    assert is_refused_for_now(shop.app.revoke(tokens["access_token"]))
    store.start()
    assert wait_until(lambda: shop.ready().status_code == 200)
    # Refused changes left no partial state.
    assert shop.app.call("GET", "/v1/models", tokens["access_token"]).status_code == 200
    tokens = shop.app.refresh(tokens["refresh_token"]).raise_for_status().json()
    assert shop.app.revoke(tokens["refresh_token"]).status_code == 200
    assert shop.app.call("GET", "/v1/models", tokens["access_token"]).status_code == 401


def test_restarted_store_causes_no_failed_request(shop: AccountServer, store: Store) -> None:
    with ThreadPoolExecutor(4) as threads:  # to open several connections
        list(threads.map(lambda _: shop.app.sign_in(), range(4)))
    store.stop()
    store.start()
    assert shop.app.sign_in().status_code == 200
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: shop.app.sign_in(), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4


def test_hanging_store_is_given_up_quickly(shop: AccountServer, store: Store) -> None:
    names = ("sign in", "refresh", "sessions", "users")
    with store.frozen(), ThreadPoolExecutor(len(names)) as threads:
        answers = list(threads.map(lambda name: shop.requests()[name](), names))
        assert all(map(is_refused_for_now, answers))
        assert wait_until(lambda: shop.ready().status_code == 503)
    assert wait_until(lambda: shop.ready().status_code == 200)
    assert shop.app.sign_in().status_code == 200


# At the start


def test_unreachable_store_at_start_is_reported_in_one_line(tmp_path: Path, colours: Path) -> None:
    url = f"postgresql://potoo:hidden@127.0.0.1:{free_port()}/potoo"
    line = refused_start(tmp_path, colours, POTOO_DATABASE_URL=url)
    assert line.startswith(
        "potoo: cannot start: cannot use the accounts in the database of database_url: "
    )
    assert "127.0.0.1" in line
    assert "hidden" not in line


def test_missing_database_is_reported_in_one_line(
    tmp_path: Path, colours: Path, postgres: str
) -> None:
    url = postgres.removesuffix("postgres") + "elsewhere"
    line = refused_start(tmp_path, colours, POTOO_DATABASE_URL=url)
    assert 'database "elsewhere" does not exist' in line


# The counter of rates


def test_unavailable_redis_leaves_calls_uncounted(tmp_path: Path, colours: Path) -> None:
    port, running = free_port(), ExitStack()
    with running:
        environment = {
            "POTOO_AUTH__RATE_STORE": running.enter_context(redis_server(tmp_path, port)),
            "POTOO_AUTH__RATE_PER_PRINCIPAL": "100/day",
            "POTOO_AUTH__RATE_PER_ADDRESS": "100/day",
        }
        with open_account_server(tmp_path, colours, **environment) as shop:

            def counts() -> bool:
                answer = shop.app.call("GET", "/v1/models", shop.tokens["access_token"])
                assert answer.status_code == 200
                return "ratelimit" in answer.headers

            assert counts()
            running.close()
            assert not counts()
            assert shop.app.sign_in().status_code == 200
            assert shop.ready().status_code == 200
            running.enter_context(redis_server(tmp_path, port))
            assert wait_until(counts, pause=0.2)

            (redis,) = (
                one for one in psutil.Process().children() if f":{port}" in "".join(one.cmdline())
            )
            redis.send_signal(signal.SIGSTOP)
            assert not counts()
            assert shop.classify() == 200
            redis.send_signal(signal.SIGCONT)
