"""``/v1/auth/...``: sign in, refresh, sign out, introspect tokens, manage sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from auth.grants import ActiveToken, IssuedToken
from auth.principal import format_scopes
from auth.store.accounts import is_name
from schemas.errors import NotFound, ServiceError
from schemas.http.auth import Introspection, OAuthError, SessionInfo, SessionList, TokenResponse
from service.transport.dependencies import (
    GrantsDep,
    PrincipalDep,
    RuntimeDep,
    metrics_of,
    origin_of,
    requires,
    settings_of,
)
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.identity.oauth_forms import (
    FORM_TYPE,
    GRANTS,
    AskedToken,
    Refused,
    TokenForm,
    answered,
    client_credentials,
    in_oauth_words,
    read_form,
    requested_scopes,
)

router = APIRouter(prefix="/v1/auth", tags=["auth"])
_NO_STORE = {"cache-control": "no-store"}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": OAuthError, "description": "Refused (RFC 6749, section 5.2)"},
    429: {"model": OAuthError, "description": "Too many requests or failed sign-ins"},
    **problems(408, 413, 415, 500, 503),
}
_CLIENT_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": OAuthError, "description": "Client authentication failed"},
    **_REFUSALS,
}


def _form(schema: str, **examples: dict[str, str]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": f"#/components/schemas/{schema}"},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {FORM_TYPE: content}}}


@router.post(
    "/token",
    response_model=TokenResponse,
    response_model_exclude_none=True,
    responses=_CLIENT_REFUSALS,
    openapi_extra=_form(
        "TokenForm",
        password={"grant_type": "password", "username": "anna", "password": "a long password"},
        client_credentials={
            "grant_type": "client_credentials",
            "client_id": "camera-7",
            "client_secret": "pcs_from_potoo_clients_add",
        },
        refresh_token={"grant_type": "refresh_token", "refresh_token": "prt_of_the_last_answer"},
    ),
)
async def issue_token(request: Request, grants: GrantsDep) -> Response:
    """Sign in, or exchange a refresh token.

    `password` is for first-party apps only (RFC 9700 advises against it elsewhere);
    `client_credentials` is for devices and backends, with HTTP Basic or form fields;
    `refresh_token` keeps a device signed in. Each refresh token can be used once.
    """
    grant = "other"

    async def call() -> Response:
        nonlocal grant
        fields = await read_form(request)
        if not fields.get("grant_type"):
            raise Refused("invalid_request", "grant_type is missing.")
        if fields["grant_type"] not in GRANTS:
            raise Refused("unsupported_grant_type", f"Supported are {', '.join(GRANTS)}.")
        form = TokenForm.model_validate(fields)
        grant = form.grant_type
        issued = await _issue(request, grants, form)
        answer = TokenResponse(
            access_token=issued.access_token,
            expires_in=issued.expires_in,
            scope=format_scopes(issued.scopes),
            refresh_token=issued.refresh_token,
        )
        return JSONResponse(answer.model_dump(exclude_none=True), headers=_NO_STORE)

    response, outcome = await answered(request, call)
    outcome = "issued" if outcome == "ok" else outcome
    metrics_of(request).token_requests.labels(grant, outcome).inc()
    return response


@router.post(
    "/revoke",
    response_class=Response,
    responses=_REFUSALS,
    openapi_extra=_form("AskedToken", refresh_token={"token": "prt_of_the_last_answer"}),
)
async def revoke_token(request: Request, grants: GrantsDep) -> Response:
    """Sign out: end the session of a refresh token, or revoke an access token (RFC 7009).

    No other authentication is needed. Invalid tokens get the same response.
    """

    async def call() -> Response:
        form = _asked(await read_form(request))
        await grants.revoke(form.token, origin_of(request))
        return Response(headers=_NO_STORE)

    return (await answered(request, call))[0]


@router.post(
    "/introspect",
    response_model=Introspection,
    response_model_exclude_none=True,
    responses=_CLIENT_REFUSALS,
    openapi_extra=_form(
        "AskedToken",
        form={
            "token": "a token that somebody sent you",
            "client_id": "backend",
            "client_secret": "pcs_from_potoo_clients_add",
        },
    ),
)
async def introspect_token(request: Request, grants: GrantsDep) -> Response:
    """Return the state of a token (RFC 7662); for clients with this permission."""
    issuer = settings_of(request).auth.issuer

    async def call() -> Response:
        fields = await read_form(request)
        name, secret = client_credentials(
            request, fields.get("client_id", ""), fields.get("client_secret", "")
        )
        form = _asked(fields)
        try:
            active = await grants.introspect(name, secret, form.token, origin_of(request))
        except ServiceError as error:
            raise in_oauth_words(error, client=True) from None
        answer = _introspection(active, issuer)
        return JSONResponse(answer.model_dump(exclude_none=True), headers=_NO_STORE)

    return (await answered(request, call))[0]


@router.get(
    "/sessions",
    dependencies=[requires(None), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 406, 429, 500, 503),
)
async def list_sessions(principal: PrincipalDep, runtime: RuntimeDep) -> SessionList:
    """List the sessions (signed-in devices) of the caller."""
    sessions = await runtime.identity.sessions.of_account(principal.name)
    return SessionList(
        sessions=[
            SessionInfo(
                id=one.id,
                device=one.device,
                scopes=sorted(one.scopes),
                created=datetime.fromtimestamp(one.created, UTC),
                last_seen=datetime.fromtimestamp(one.last_seen, UTC),
                expires=datetime.fromtimestamp(one.expires, UTC),
                current=one.id == principal.session_id,
            )
            for one in sessions
        ]
    )


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    dependencies=[requires(None)],
    responses=problems(401, 404, 429, 500, 503),
)
async def end_session(session_id: str, principal: PrincipalDep, grants: GrantsDep) -> None:
    """End one of the caller's sessions and revoke its tokens."""
    if not (is_name(session_id) and await grants.sign_out(principal.name, session_id)):
        message = "You have no such session."
        raise NotFound(message)


async def _issue(request: Request, grants: GrantsDep, form: TokenForm) -> IssuedToken:
    scopes, origin = requested_scopes(form.scope), origin_of(request)
    if form.client_id and not is_name(form.client_id):
        raise Refused("invalid_request", "The client_id is malformed.")
    try:
        match form.grant_type:
            case "client_credentials":
                name, secret = client_credentials(request, form.client_id, form.client_secret)
                return await grants.client_credentials(name, secret, scopes, origin)
            case "refresh_token":
                if not form.refresh_token:
                    raise Refused("invalid_request", "The refresh_token is missing.")
                return await grants.refresh(form.refresh_token, scopes, origin, form.client_id)
            case "password":
                # Swagger UI adds an empty Basic header; the user name is in the form.
                if not form.username or not form.password:
                    raise Refused("invalid_request", "The name or the secret is missing.")
                return await grants.password(
                    form.username, form.password, scopes, origin, form.client_id
                )
    except ServiceError as error:
        client = form.grant_type == "client_credentials"
        raise in_oauth_words(error, client=client) from None


def _asked(fields: dict[str, str]) -> AskedToken:
    if not fields.get("token"):
        raise Refused("invalid_request", "The token is missing.")
    try:
        return AskedToken.model_validate(fields)
    except ValidationError:
        raise Refused("invalid_request", "The form is malformed.") from None


def _introspection(active: ActiveToken | None, issuer: str) -> Introspection:
    if active is None:
        return Introspection(active=False)
    return Introspection(
        active=True,
        scope=format_scopes(active.scopes),
        client_id=active.client_id,
        sub=active.account,
        token_type="refresh_token" if active.is_refresh else "access_token",
        exp=int(active.expires_at),
        iat=int(active.issued_at),
        iss=issuer,
        jti=active.token_id,
    )
