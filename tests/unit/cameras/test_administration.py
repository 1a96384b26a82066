"""Changes to cameras: limits, credentials, the security log; and frames for the form."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.cameras import CameraFailure, CameraSpec, NewCamera
from schemas.errors import Conflict, InvalidParameter, NotFound, Overloaded
from service.cameras.administration import CameraAdministration
from service.cameras.fetching import MOST, FrameFetcher
from service.cameras.logins import Logins
from service.cameras.sources.source import Frame, SourceFailed, SourceSpec
from service.cameras.store.cameras import CameraStore
from service.cameras.store.credentials import CredentialBox, Login
from tests.support.auth.identity_kit import Log

pytestmark = pytest.mark.anyio
HOST, HIDDEN = "192.168.1.20", "hunter2hunter2"
URL = f"http://{HOST}/a.jpg"


@pytest.fixture
def box(tmp_path: Path) -> CredentialBox:
    return CredentialBox(tmp_path / "key")


@pytest.fixture
def cameras(database: Database, box: CredentialBox) -> CameraAdministration:
    return administration(database, box)


def administration(database: Database, box: CredentialBox, most: int = 2) -> CameraAdministration:
    async def check(url: str) -> None:
        if "refused" in url:
            raise SourceFailed(CameraFailure.ADDRESS_REFUSED, "The address is refused")

    return CameraAdministration(
        CameraStore(database), box, Audit(Metrics()), check, most=most, on_change=lambda: None
    )


def new(name: str = "door", url: str = URL, **members: Any) -> NewCamera:
    return NewCamera(name=name, url=url, **members)


@pytest.mark.parametrize(
    ("url", "members"),
    [
        (f"http://anna:{HIDDEN}@{HOST}/a.jpg", {}),
        (URL, {"username": "anna", "password": SecretStr(HIDDEN)}),
    ],
)
async def test_credentials_are_split_off_and_sealed(
    cameras: CameraAdministration, box: CredentialBox, log: Log, url: str, members: dict[str, Any]
) -> None:
    added = await cameras.add(new(url=url, **members), by="anna")
    assert added.spec == CameraSpec(url=URL)
    assert added.credentials is not None
    assert box.unseal(added.credentials) == Login("anna", HIDDEN)
    assert [(line["event"], line["camera"], line["account"]) for line in log] == [
        ("camera_added", "door", "anna")
    ]
    assert HIDDEN not in str(log)


@pytest.mark.usefixtures("log")
async def test_a_hundred_cameras_may_be_added_at_once(
    database: Database, box: CredentialBox
) -> None:
    cameras = administration(database, box, most=100)
    names = [f"door-{number}" for number in range(100)]
    await asyncio.gather(*(cameras.add(new(name), by="anna") for name in names))
    assert {one.name for one in await CameraStore(database).all()} == set(names)


async def test_query_of_a_url_is_not_logged(cameras: CameraAdministration, log: Log) -> None:
    await cameras.add(new(url=f"{URL}?token={HIDDEN}"), by="anna")
    assert HIDDEN not in str(log)


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        (f"http://{HOST}/other.jpg", True),
        (f"http://{HOST}:80/a.jpg", True),
        (f"http://{HOST}:81/a.jpg", False),
        (f"https://{HOST}/a.jpg", False),
        ("http://192.168.1.21/a.jpg", False),
        ("usb:0", False),
    ],
)
async def test_credentials_stay_with_their_host_alone(
    cameras: CameraAdministration, url: str, *, stays: bool
) -> None:
    await cameras.add(new(username="anna", password=SecretStr(HIDDEN)), by="anna")
    changed = await cameras.change("door", CameraSpec(url=url), by="anna")
    assert (changed.credentials is not None) is stays


async def test_new_credentials_and_secret_files_replace_the_old(
    cameras: CameraAdministration, box: CredentialBox
) -> None:
    await cameras.add(new(username="anna", password=SecretStr(HIDDEN)), by="anna")
    changed = await cameras.change("door", CameraSpec(url=URL, username="bert"), by="anna")
    assert changed.credentials is not None
    assert box.unseal(changed.credentials) == Login("bert", "")
    changed = await cameras.change("door", CameraSpec(url=URL, secret="file"), by="anna")
    assert changed.credentials is None


async def test_new_password_keeps_the_user_of_the_same_host(
    cameras: CameraAdministration, box: CredentialBox
) -> None:
    await cameras.add(new(username="anna", password=SecretStr("old")), by="anna")
    for url, user in ((URL, "anna"), ("http://192.168.1.77/", "")):
        spec = CameraSpec(url=url, password=SecretStr(HIDDEN))
        changed = await cameras.change("door", spec, by="anna")
        assert changed.credentials is not None
        assert box.unseal(changed.credentials) == Login(user, HIDDEN)


async def test_credentials_in_two_places_are_refused(cameras: CameraAdministration) -> None:
    for members in ({"username": "bert"}, {"secret": "file"}):
        with pytest.raises(InvalidParameter) as caught:
            await cameras.add(new(url=f"http://a:b@{HOST}/", **members), by="anna")
        assert caught.value.violations[0].pointer == "/body/url"


async def test_refused_and_malformed_urls_name_the_field(cameras: CameraAdministration) -> None:
    for url in (f"http://{HOST}/refused", "gopher://x", "http://", f"http://{HOST}\\@evil/"):
        with pytest.raises(InvalidParameter) as caught:
            await cameras.add(new(url=url), by="anna")
        assert caught.value.violations[0].pointer == "/body/url"


async def test_names_and_numbers_are_bounded(database: Database, box: CredentialBox) -> None:
    cameras = administration(database, box, most=1)
    await cameras.add(new(), by="anna")
    with pytest.raises(Conflict, match="exists already"):
        await cameras.add(new(), by="anna")
    with pytest.raises(Conflict, match="as many as"):
        await cameras.add(new("yard"), by="anna")


async def test_absent_camera_is_not_found(cameras: CameraAdministration) -> None:
    for change in (
        cameras.get("door"),
        cameras.change("door", CameraSpec(url=URL), by="anna"),
        cameras.pause("door", is_paused=True, by="anna"),
        cameras.remove("door", by="anna"),
    ):
        with pytest.raises(NotFound):
            await change


class FakeCamera:
    """Gives a frame once it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.opened: list[SourceSpec] = []

    @asynccontextmanager
    async def open(self, spec: SourceSpec) -> AsyncIterator[AsyncIterator[Frame]]:
        self.opened.append(spec)
        await self.may.wait()
        yield self._frames()

    async def _frames(self) -> AsyncIterator[Frame]:
        yield Frame(b"frame", time.monotonic())


async def test_frame_for_the_form_uses_the_right_credentials(
    cameras: CameraAdministration, box: CredentialBox, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("carl:pass")
    source = FakeCamera()
    source.may.set()
    fetcher = FrameFetcher(cameras, Logins(box, tmp_path), source.open, 1000)
    stored = await cameras.add(new(username="anna", password=SecretStr(HIDDEN)), by="anna")
    for spec, user in (
        (CameraSpec(url=URL), "anna"),
        (CameraSpec(url=URL, password=SecretStr("new")), "anna"),
        (CameraSpec(url=f"http://{HOST}:81/"), None),
        (CameraSpec(url=f"http://bert:x@{HOST}/"), "bert"),
        (CameraSpec(url=URL, secret="file"), "carl"),
    ):
        assert await fetcher.fetch(spec, stored) == b"frame"
        assert source.opened[-1].username == user
    with pytest.raises(InvalidParameter) as caught:
        await fetcher.fetch(CameraSpec(url=URL, secret="absent"))
    assert "unauthorized" in caught.value.violations[0].detail


async def test_frames_for_the_form_are_few_at_a_time(
    cameras: CameraAdministration, box: CredentialBox
) -> None:
    source = FakeCamera()
    fetcher = FrameFetcher(cameras, Logins(box, None), source.open, 1000)
    waiting = [asyncio.create_task(fetcher.fetch(CameraSpec(url=URL))) for _ in range(MOST)]
    while len(source.opened) < MOST:  # noqa: ASYNC110 - the tasks have to run
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await fetcher.fetch(CameraSpec(url=URL))
    source.may.set()
    assert await asyncio.gather(*waiting) == [b"frame"] * MOST
    assert await fetcher.fetch(CameraSpec(url=URL)) == b"frame"
