"""OAuth 2.0 grants without a transport: sign in, refresh, revoke, introspect."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from auth.credentials import Credentials
from auth.principal import Origin, Scope
from auth.settings import AuthSettings
from auth.signing.tokens import TokenSigner
from auth.signing.verifier import Verifier
from auth.store import revocations
from auth.store.accounts import Account, AccountStore, Kind
from auth.store.revocations import Revocations
from auth.store.sessions import RefreshReused, SessionStore, is_refresh_token
from observability.logs.audit import Audit, AuditEvent
from schemas.errors import InsufficientScope, InvalidCredentials, Unauthenticated

LINK_DEVICE = "Sign-in link, not used yet"
"""Name in the list of devices of the session that a link represents."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token, its account and scopes. ``expires_in``: seconds."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]
    account: str
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveToken:
    """Introspection data of a valid token. Times are seconds since the epoch."""

    account: str
    client_id: str
    scopes: frozenset[Scope]
    issued_at: float
    expires_at: float
    token_id: str
    is_refresh: bool


class Grants:
    """The OAuth 2.0 grants (RFC 6749) over the stores."""

    def __init__(
        self,
        accounts: AccountStore,
        sessions: SessionStore,
        credentials: Credentials,
        revoked: Revocations,
        signer: TokenSigner,
        verifier: Verifier,
        settings: AuthSettings,
        audit: Audit,
    ) -> None:
        self._accounts, self._sessions, self._revoked = accounts, sessions, revoked
        self._prove, self._signer, self._verifier = credentials.prove, signer, verifier
        self._settings, self._audit = settings, audit

    async def password(
        self,
        name: str,
        password: str,
        scopes: frozenset[Scope] | None,
        origin: Origin,
        client_id: str = "",
        *,
        optional: frozenset[Scope] = frozenset(),
    ) -> IssuedToken:
        """Sign a person in; issue an access token, and a refresh token for a device session.

        Args:
            scopes: requested scopes; None for all scopes of the account.
            optional: further scopes, each granted if the account has it.

        Raises:
            InvalidCredentials: unknown, wrong or disabled; all three take the same time.
            InsufficientScope: if the account lacks a requested scope.
            RateLimited, SignInBlocked: if too many tries are waiting, or too many failed.
            NotReady: if the store does not answer.
        """
        account = await self._prove(name, password, Kind.PERSON, origin)
        granted = _granted(account, scopes) | (account.scopes & optional)
        session, refresh_token = await self._sessions.open(
            account.name, client_id or account.name, granted, origin
        )
        try:
            await self._require_unchanged(account)
        except InvalidCredentials:
            await self.sign_out(account.name, session.id)
            raise
        self._audit.record(
            AuditEvent.SIGN_IN, account=account.name, address=origin.address, session=session.id
        )
        return self._issue(account, granted, session.client_id, session.id, refresh_token)

    async def make_link(self, account: Account, scopes: frozenset[Scope], seconds: float) -> str:
        """Return a code that signs the account in once, within ``seconds``: see ``redeem``.

        It is the refresh token of a session that exists only for this. Earlier codes of the account
        become invalid.
        """
        for one in await self._sessions.of_account(account.name):
            if one.device == LINK_DEVICE:
                await self._sessions.end(account.name, one.id)
        origin = Origin("", LINK_DEVICE)
        granted = account.scopes & scopes
        _, code = await self._sessions.open(
            account.name, account.name, granted, origin, lifetime=seconds
        )
        return code

    async def redeem(self, code: str, origin: Origin) -> IssuedToken:
        """Exchange the code of a link for the tokens of a new session; each code is valid once.

        Raises:
            InvalidCredentials: it is no such code, was used or is too old, or its account may no
                longer sign in.
        """
        link = await self._sessions.find(code)
        # Of two concurrent callers one ends it.
        if (
            link is None
            or link.device != LINK_DEVICE
            or not (await self._sessions.end(link.account, link.id))
        ):
            raise InvalidCredentials("This link no longer works.")
        account = await self._accounts.get(link.account)
        if account is None or account.is_disabled:
            raise InvalidCredentials("This link no longer works.")
        granted = link.scopes & account.scopes
        session, refresh_token = await self._sessions.open(
            account.name, account.name, granted, origin
        )
        self._audit.record(
            AuditEvent.SIGN_IN, account=account.name, address=origin.address, session=session.id
        )
        return self._issue(account, granted, session.client_id, session.id, refresh_token)

    async def client_credentials(
        self, name: str, secret: str, scopes: frozenset[Scope] | None, origin: Origin
    ) -> IssuedToken:
        """Issue an access token, without a refresh token, to a device or a backend.

        Raises:
            As ``password``.
        """
        account = await self._prove(name, secret, Kind.CLIENT, origin)
        granted = _granted(account, scopes)
        await self._require_unchanged(account)
        self._audit.record(AuditEvent.SIGN_IN, account=account.name, address=origin.address)
        return self._issue(account, granted, account.name)

    async def refresh(
        self, token: str, scopes: frozenset[Scope] | None, origin: Origin, client_id: str = ""
    ) -> IssuedToken:
        """Issue the next access and refresh token of a session.

        Args:
            scopes: a subset of those granted at sign-in; None for all that the account still has.
            client_id: if given, it must match the one that signed in.

        Raises:
            InvalidCredentials: if the token is invalid, or its account may no longer sign in.
            RefreshReused: if it was used before; this ends the session.
            InsufficientScope: if more scopes are requested than were granted.
            RateLimited: if another use of it was answered less than a second ago.
        """
        await self._refuse_more_than_granted(token, scopes, origin)
        try:
            session, successor = await self._sessions.rotate(token)
        except RefreshReused as reused:
            self._audit.record(
                AuditEvent.REFRESH_REUSED,
                account=reused.account,
                session=reused.session_id,
                address=origin.address,
            )
            raise
        except InvalidCredentials:
            self._audit.record(AuditEvent.REFRESH_FAILED, address=origin.address)
            raise
        account = await self._accounts.get(session.account)
        is_other = bool(client_id) and client_id != session.client_id
        if account is None or account.is_disabled or is_other:
            await self.sign_out(session.account, session.id)
            self._audit.record(
                AuditEvent.REFRESH_FAILED, account=session.account, address=origin.address
            )
            raise InvalidCredentials("The refresh token is not valid; sign in again.")
        # Scopes removed from the account since are lost; added ones need a new sign-in.
        granted = session.scopes & account.scopes & (session.scopes if scopes is None else scopes)
        self._audit.record(
            AuditEvent.TOKEN_REFRESHED,
            account=session.account,
            session=session.id,
            address=origin.address,
        )
        return self._issue(account, granted, session.client_id, session.id, successor)

    async def revoke(self, token: str, origin: Origin) -> None:
        """Revoke an access token, or end the session of a refresh token (RFC 7009).

        Any holder of a token may revoke it. Invalid and expired tokens are not errors.
        """
        if is_refresh_token(token):
            # Used tokens are accepted: using one would end the session as well.
            session = await self._sessions.family(token)
            if session is not None:
                await self.sign_out(session.account, session.id)
            return
        with contextlib.suppress(Unauthenticated):
            principal = self._verifier.verify(token)
            self._revoked.check(principal)  # repeated requests must not fill the store
            await self._revoked.add(
                [(revocations.Kind.TOKEN, principal.token_id)], until=principal.expires_at
            )
            self._audit.record(
                AuditEvent.TOKEN_REVOKED, account=principal.name, address=origin.address
            )

    async def introspect(
        self, name: str, secret: str, token: str, origin: Origin
    ) -> ActiveToken | None:
        """Introspect a token for a permitted client (RFC 7662); return None if it is invalid.

        Raises:
            InvalidCredentials: if the client is unknown, wrong, disabled, or not permitted.
        """
        asking = await self._prove(name, secret, Kind.CLIENT, origin)
        if not asking.may_introspect:
            raise InvalidCredentials("This client may not ask about tokens.")
        if is_refresh_token(token):
            session = await self._sessions.find(token)
            if session is None:
                return None
            return ActiveToken(
                session.account,
                session.client_id,
                session.scopes,
                session.last_seen,
                session.expires,
                session.id,
                is_refresh=True,
            )
        try:
            principal = self._verifier.verify(token)
            self._revoked.check(principal)
        except Unauthenticated:
            return None
        return ActiveToken(
            principal.name,
            principal.client_id,
            principal.scopes,
            principal.issued_at,
            principal.expires_at - self._settings.clock_skew_seconds,
            principal.token_id,
            is_refresh=False,
        )

    async def sign_out(self, account: str, session_id: str | None = None) -> int:
        """End one session of an account, or all of them and its other tokens; return the count.

        Raises:
            NotReady: if the store does not answer.
        """
        ended = await self._sessions.end(account, session_id)
        for one in ended:
            self._audit.record(AuditEvent.SESSION_ENDED, account=account, session=one)
        return len(ended)

    async def _refuse_more_than_granted(
        self, token: str, scopes: frozenset[Scope] | None, origin: Origin
    ) -> None:
        """Refuse excess scopes before the token is used, so that the caller may retry."""
        session = await self._sessions.find(token) if scopes else None
        if session is not None and scopes and (more := scopes - session.scopes):
            self._audit.record(
                AuditEvent.SCOPE_DENIED, account=session.account, address=origin.address
            )
            raise InsufficientScope(min(more))

    async def _require_unchanged(self, account: Account) -> None:
        """Check that the account did not change while its secret was verified.

        Raises:
            InvalidCredentials: if the account changed.
        """
        if await self._accounts.get(account.name) != account:
            raise InvalidCredentials

    def _issue(
        self,
        account: Account,
        granted: frozenset[Scope],
        client_id: str,
        session_id: str | None = None,
        refresh_token: str | None = None,
    ) -> IssuedToken:
        seconds = self._settings.access_token_seconds
        token = self._signer.issue(
            account.name,
            granted,
            seconds,
            client_id=client_id,
            session_id=session_id,
            models=account.models,
            weight=account.weight,
        )
        return IssuedToken(token, seconds, granted, account.name, refresh_token)


def _granted(account: Account, scopes: frozenset[Scope] | None) -> frozenset[Scope]:
    granted = account.scopes if scopes is None else scopes
    if missing := granted - account.scopes:
        raise InsufficientScope(min(missing))
    return granted
