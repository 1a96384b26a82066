"""Changes to cameras, for HTTP and the command line; all are recorded in the security log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from observability.logs.audit import Audit, AuditEvent
from schemas.cameras import CameraSpec, NewCamera
from schemas.errors import Conflict, InvalidParameter, NotFound, Violation
from service.cameras.store.cameras import CameraStore, StoredCamera
from service.cameras.store.credentials import CredentialBox, CredentialsUnreadable, Login
from service.coordination.subjects import NameTaken, TooMany

Check = Callable[[str], Awaitable[object]]
"""Checks a URL without credentials; raises ``SourceFailed``."""


@dataclass(frozen=True, slots=True)
class Split:
    """A configuration without credentials, and the login that was in it."""

    spec: CameraSpec
    login: Login | None


class CameraAdministration:
    """Camera administration. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting account, for the security log.
    """

    def __init__(
        self,
        cameras: CameraStore,
        box: CredentialBox,
        audit: Audit,
        check: Check,
        *,
        most: int,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """``most``: number of cameras allowed. ``on_change``: called after every change."""
        self._cameras, self._box, self._audit, self._check = cameras, box, audit, check
        self._most, self._on_change = most, on_change

    async def get(self, name: str) -> StoredCamera:
        """Return one camera.

        Raises:
            NotFound: there is no such camera.
        """
        return await self._cameras.get(name) or _missing()

    async def add(self, new: NewCamera, *, by: str) -> StoredCamera:
        """Add a camera.

        Raises:
            InvalidParameter: the URL is malformed or refused.
            Conflict: the name is taken, or there are too many cameras.
        """
        values = dict(new)
        values.pop("name")
        split = await self.checked(CameraSpec.model_construct(**values))
        try:
            added = await self._cameras.add(
                new.name, split.spec, self._sealed(split.login), most=self._most
            )
        except NameTaken:
            raise Conflict("A camera with this name exists already.") from None
        except TooMany:
            message = f"There are {self._most} cameras, as many as the server may have."
            raise Conflict(message) from None
        self._record(AuditEvent.CAMERA_ADDED, new.name, by, url=_shown(split.spec))
        return added

    async def change(self, name: str, spec: CameraSpec, *, by: str) -> StoredCamera:
        """Replace a camera's configuration.

        Without a user and a password, the stored ones stay while scheme, host and port do; the user
        also stays if there is a password alone.

        Raises:
            InvalidParameter: the URL is malformed or refused.
            NotFound: there is no such camera.
        """
        before = await self.get(name)
        split = await self.checked(spec)
        login, kept = split.login, None
        if spec.secret is None and is_same_host(before.spec, split.spec):
            kept = before.credentials
        login = self.with_stored_user(spec, login, kept)
        credentials = kept if login is None else self._sealed(login)
        if not await self._cameras.change(name, split.spec, credentials):
            _missing()
        self._record(AuditEvent.CAMERA_CHANGED, name, by, url=_shown(split.spec))
        return await self.get(name)

    async def pause(self, name: str, *, is_paused: bool, by: str) -> StoredCamera:
        """Pause or resume a camera.

        Raises:
            NotFound: there is no such camera.
        """
        if not await self._cameras.pause(name, is_paused=is_paused):
            _missing()
        self._record(AuditEvent.CAMERA_CHANGED, name, by, is_paused=is_paused)
        return await self.get(name)

    async def remove(self, name: str, *, by: str) -> None:
        """Remove a camera and its events.

        Raises:
            NotFound: there is no such camera.
        """
        if not await self._cameras.remove(name):
            _missing()
        self._record(AuditEvent.CAMERA_REMOVED, name, by)

    async def checked(self, spec: CameraSpec) -> Split:
        """Split the credentials off a configuration, and check its URL.

        Raises:
            InvalidParameter: the URL is malformed or refused, or has credentials beside others.
        """
        from service.cameras.sources.source import SourceFailed
        from service.cameras.sources.urls import split_credentials

        try:
            url, username, password = split_credentials(spec.url)
            await self._check(url)
        except SourceFailed as error:
            # A host that is unknown now may be known when the camera is on.
            raise _invalid("url", error.detail) from None
        if username is not None or password is not None:
            if spec.username or spec.password or spec.secret:
                raise _invalid("url", "There are credentials in the URL and beside it")
            login = Login(username or "", password or "")
        elif spec.username or spec.password:
            given = spec.password.get_secret_value() if spec.password else ""
            login = Login(spec.username or "", given)
        else:
            login = None
        plain = spec.model_copy(update={"url": url, "username": None, "password": None})
        return Split(plain, login)

    def with_stored_user(
        self, spec: CameraSpec, login: Login | None, stored: str | None
    ) -> Login | None:
        """Return the login of a configuration; a password alone belongs to the stored user.

        Args:
            login: see ``checked``.
            stored: encrypted credentials of the camera; None if it has none on this host.
        """
        if login is None or stored is None or spec.username is not None or spec.password is None:
            return login
        try:
            return Login(self._box.unseal(stored).username, login.password)
        except CredentialsUnreadable:  # of another key: there is no user to keep
            return login

    def _sealed(self, login: Login | None) -> str | None:
        try:
            return None if login is None else self._box.seal(login)
        except CredentialsUnreadable as error:
            raise Conflict(f"Credentials cannot be stored: {error}") from error

    def _record(self, event: AuditEvent, name: str, by: str, **facts: object) -> None:
        self._audit.record(event, account=by, camera=name, **facts)
        self._on_change()


def is_same_host(one: CameraSpec, other: CameraSpec) -> bool:
    """Return whether two cameras have the same scheme, host and port."""
    from service.cameras.sources.urls import NetworkUrl, parse_network_url

    def place(spec: CameraSpec) -> tuple[str, str, int] | None:
        from service.cameras.sources.source import SourceFailed

        try:
            found: NetworkUrl = parse_network_url(spec.url)
        except SourceFailed:  # a file or a USB device
            return None
        return found.scheme, found.host, found.port

    return place(one) is not None and place(one) == place(other)


def _shown(spec: CameraSpec) -> str:
    """Return the URL for the log: queries hold tokens of some cameras."""
    from service.cameras.sources.urls import shown

    return shown(spec.url)


def _invalid(field: str, detail: str) -> InvalidParameter:
    return InvalidParameter(violations=(Violation(f"/body/{field}", detail),))


def _missing() -> NoReturn:
    raise NotFound("There is no camera with this name.")
