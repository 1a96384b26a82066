"""``/v1/auth/page/...``: the session of the web page, kept in a cookie that no script can read.

The refresh token never reaches a script: it is in a cookie that is HttpOnly, SameSite=Strict and
sent only to paths below this one. No other route reads cookies: calls to the API carry a bearer
token.

Browsers may send a cookie with requests of other sites (CSRF). Besides ``SameSite``, every request
here must therefore come from the page itself, as shown by ``Sec-Fetch-Site``, or by ``Origin`` if
the browser does not send the former (HTTP without TLS).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from auth.grants import Grants, IssuedToken
from auth.principal import format_scopes
from auth.store.sessions import is_refresh_token
from schemas.errors import ServiceError
from service.transport.dependencies import GrantsDep, metrics_of, origin_of, settings_of
from service.transport.http.routes.identity.oauth_forms import (
    Refused,
    answered,
    in_oauth_words,
    read_form,
    requested_scopes,
)

router = APIRouter(prefix="/v1/auth/page", include_in_schema=False)
COOKIE = "potoo_session"
_NO_STORE = {"cache-control": "no-store"}


@router.post("/sign-in")
async def sign_in(request: Request, grants: GrantsDep) -> Response:
    """Sign in, in place of this browser's session.

    The form has ``username``, ``password``, ``scope`` and ``optional_scope`` (granted as far as the
    account has them), or the ``code`` of a link.
    """

    async def call() -> Response:
        _refuse_other_pages(request)
        fields = await read_form(request)
        if code := fields.get("code"):
            try:
                issued = await grants.redeem(code, origin_of(request))
            except ServiceError as error:
                raise in_oauth_words(error, client=False) from None
            await _end(request, grants)
            return _signed_in(request, issued)
        name, password = fields.get("username"), fields.get("password")
        if not name or not password:
            raise Refused("invalid_request", "The name or the secret is missing.")
        scopes = requested_scopes(fields.get("scope", ""))
        optional = requested_scopes(fields.get("optional_scope", "")) or frozenset()
        try:
            issued = await grants.password(
                name, password, scopes, origin_of(request), optional=optional
            )
        except ServiceError as error:
            raise in_oauth_words(error, client=False) from None
        await _end(request, grants)  # a browser has one session, which replaces an earlier one
        return _signed_in(request, issued)

    return await _counted(request, "password", call)


@router.post("/refresh")
async def refresh(request: Request, grants: GrantsDep) -> Response:
    """Issue the next access token; 204 if this browser has no session."""

    async def call() -> Response:
        _refuse_other_pages(request)
        token = request.cookies.get(_cookie_name(request))
        if not token:
            return Response(status_code=204, headers=_NO_STORE)
        try:
            issued = await grants.refresh(token, None, origin_of(request))
        except ServiceError as error:
            raise in_oauth_words(error, client=False) from None
        return _signed_in(request, issued)

    return await _counted(request, "refresh_token", call)


@router.post("/sign-out")
async def sign_out(request: Request, grants: GrantsDep) -> Response:
    """End this browser's session and delete its cookie."""

    async def call() -> Response:
        _refuse_other_pages(request)
        await _end(request, grants)
        response = Response(status_code=204, headers=_NO_STORE)
        _set_cookie(request, response, "", 0)
        return response

    return (await answered(request, call))[0]


def _refuse_other_pages(request: Request) -> None:
    """Raise ``Refused`` unless a page of the same origin sent the request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_own = site == "same-origin"
    else:
        scheme, _, authority = request.headers.get("origin", "").partition("://")
        host = request.headers.get("host", "").lower()
        is_own = scheme in {"http", "https"} and bool(host) and authority.lower() == host
    if not is_own:
        raise Refused("invalid_request", "Only Potoo's own page may ask for this.", 403)


async def _counted(
    request: Request, grant: str, call: Callable[[], Awaitable[Response]]
) -> Response:
    response, outcome = await answered(request, call)
    if response.status_code != 204:
        outcome = "issued" if outcome == "ok" else outcome
        metrics_of(request).token_requests.labels(grant, outcome).inc()
    if outcome == "invalid_grant" and grant == "refresh_token":
        _set_cookie(request, response, "", 0)  # the session is over
    return response


async def _end(request: Request, grants: Grants) -> None:
    token = request.cookies.get(_cookie_name(request))
    if token and is_refresh_token(token):  # never an access token of another session
        await grants.revoke(token, origin_of(request))


def _signed_in(request: Request, issued: IssuedToken) -> Response:
    body = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": format_scopes(issued.scopes),
        "name": issued.account,
    }
    response = JSONResponse(body, headers=_NO_STORE)
    lifetime = int(settings_of(request).auth.refresh_token_days * 86_400)
    _set_cookie(request, response, issued.refresh_token or "", lifetime)
    return response


def _set_cookie(request: Request, response: Response, value: str, seconds: int) -> None:
    """Set the cookie; 0 seconds delete it.

    Without a ``Path`` browsers bind it to the folder of the request's address (RFC 6265, section
    5.1.4), which is right behind a proxy that serves Potoo below a path of its own, too.
    """
    secure = "; Secure" if request.scope.get("scheme") == "https" else ""
    cookie = f"{_cookie_name(request)}={value}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    response.headers.append("set-cookie", cookie + secure)


def _cookie_name(request: Request) -> str:
    """Return the name with the port: browsers share cookies among the ports of a host."""
    _, _, port = request.headers.get("host", "").rpartition(":")
    return f"{COOKIE}_{port}" if port.isdecimal() and port.isascii() else COOKIE
