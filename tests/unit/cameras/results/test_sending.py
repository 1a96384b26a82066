"""One attempt to post to a webhook: real receivers that are hostile or broken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.cameras.results.sending import NotSent, Reply, open_sender
from service.cameras.results.signing import Signer
from tests.support.results.fakes import event
from tests.support.results.receiver import Receiver, receiving

pytestmark = pytest.mark.anyio

SIGNED = Signer(b"k" * 24, "webhook:test", "Potoo/0").sign(event(7), 1_800_000_000)
LONG = 60.0


@pytest.fixture(scope="module")
def shared() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(shared: Receiver) -> Receiver:
    shared.requests.clear()
    shared.headers.clear()
    return shared


async def post(url: str, timeout: float = LONG) -> Reply:
    async with open_sender(timeout) as sender:
        return await sender.post(url, SIGNED.headers, SIGNED.body)


async def test_request_has_the_signed_headers_and_body(receiver: Receiver) -> None:
    assert await post(f"{receiver.url}/hook?key=1") == Reply(200)
    (request,) = receiver.requests
    assert request.path == "/hook?key=1"
    assert request.body == SIGNED.body
    received = {name.lower(): value for name, value in request.headers.items()}
    assert SIGNED.headers.items() <= received.items()


@pytest.mark.parametrize("status", [204, 400, 404, 410, 500, 503])
async def test_status_is_returned(receiver: Receiver, status: int) -> None:
    assert await post(f"{receiver.url}/{status}") == Reply(status)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.headers["location"] = f"{receiver.url}/elsewhere"
    assert await post(f"{receiver.url}/{status}") == Reply(status)
    assert [request.path for request in receiver.requests] == [f"/{status}"]


async def test_retry_after_is_returned_within_bounds(receiver: Receiver) -> None:
    receiver.headers["retry-after"] = "120"
    assert await post(f"{receiver.url}/503") == Reply(503, 120.0)
    receiver.headers["retry-after"] = "99999999"
    assert await post(f"{receiver.url}/429") == Reply(429, 3600.0)


async def test_receiver_that_hangs_is_left_in_time(receiver: Receiver) -> None:
    with pytest.raises(NotSent, match="no answer in time"):
        await post(f"{receiver.url}/hang", timeout=0.2)


@pytest.mark.parametrize("path", ["drip", "flood"])
async def test_acknowledgement_counts_although_its_body_does_not_end(
    receiver: Receiver, path: str
) -> None:
    assert await post(f"{receiver.url}/{path}") == Reply(200)
    # What the sockets' buffers hold, not what could be read within a second.
    assert receiver.flooded < 32 * 2**20


@pytest.mark.parametrize("path", ["cut", "garbage"])
async def test_answer_that_is_no_http_is_none(receiver: Receiver, path: str) -> None:
    with pytest.raises(NotSent) as failed:
        await post(f"{receiver.url}/{path}")
    assert str(failed.value)


async def test_receiver_that_is_not_there_is_reported_without_the_url() -> None:
    with receiving() as gone:
        url = gone.url
    with pytest.raises(NotSent) as failed:
        await post(f"{url}/token")
    assert "token" not in str(failed.value)


async def test_connection_is_used_again(receiver: Receiver) -> None:
    async with open_sender(LONG) as sender:
        for _ in range(3):
            await sender.post(f"{receiver.url}/hook", SIGNED.headers, SIGNED.body)
        pool = sender._client._transport._pool  # type: ignore[attr-defined]
        assert len(pool.connections) == 1
