"""``/v1/admin/...``: administration of users and clients; needs the scope ``admin``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from auth.administration import NewAccount
from auth.principal import ALL_SCOPES, DEFAULT_SCOPES, Scope
from auth.store.accounts import Account, Kind
from schemas.errors import InvalidParameter, Violation
from schemas.http.auth import (
    AccountChange,
    AccountInfo,
    AccountList,
    ClientInfo,
    ClientList,
    NewClient,
    NewClientSecret,
    NewPassword,
    NewUser,
)
from service.transport.dependencies import AdministrationDep, PrincipalDep, requires
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import problems

router = APIRouter(
    prefix="/v1/admin",
    tags=["admin"],
    dependencies=[requires(Scope.ADMIN), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
BODIES = (NewUser, NewClient, AccountChange, NewPassword)
"""Request bodies of the routes, which read them themselves."""
_BODY = problems(408, 413, 415, 422)
_NOT_THERE, _CONFLICT, _LAST = problems(404), problems(409), problems(404, 409)


@router.get("/users")
async def list_users(administration: AdministrationDep) -> AccountList:
    """List the users."""
    people = await administration.all(Kind.PERSON)
    return AccountList(users=[AccountInfo(**_shown(one)) for one in people])


@router.post("/users", status_code=201, responses=_CONFLICT | _BODY, openapi_extra=takes(NewUser))
async def add_user(
    body: Annotated[NewUser, Depends(JsonBody(NewUser))],
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> AccountInfo:
    """Add a user."""
    new = NewAccount(body.name, _scopes(body.scopes), _models(body.models))
    account = await administration.add_person(
        new, body.password.get_secret_value(), by=principal.name
    )
    return AccountInfo(**_shown(account))


@router.patch("/users/{name}", responses=_LAST | _BODY, openapi_extra=takes(AccountChange))
async def change_user(
    name: str,
    body: Annotated[AccountChange, Depends(JsonBody(AccountChange))],
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> AccountInfo:
    """Disable or enable a user, or change the scopes; ends sessions with other scopes."""
    return AccountInfo(**_shown(await _change(name, Kind.PERSON, body, administration, principal)))


@router.put(
    "/users/{name}/password",
    status_code=204,
    responses=_NOT_THERE | _BODY,
    openapi_extra=takes(NewPassword),
)
async def set_user_password(
    name: str,
    body: Annotated[NewPassword, Depends(JsonBody(NewPassword))],
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> None:
    """Change a user's password and sign out all of the user's devices."""
    await administration.set_password(name, body.password.get_secret_value(), by=principal.name)


@router.delete("/users/{name}", status_code=204, responses=_LAST)
async def remove_user(
    name: str, administration: AdministrationDep, principal: PrincipalDep
) -> None:
    """Remove a user and revoke the user's sessions and tokens."""
    await administration.remove(name, Kind.PERSON, by=principal.name)


@router.get("/clients")
async def list_clients(administration: AdministrationDep) -> ClientList:
    """List the clients."""
    clients = await administration.all(Kind.CLIENT)
    return ClientList(clients=[_client(one) for one in clients])


@router.post(
    "/clients", status_code=201, responses=_CONFLICT | _BODY, openapi_extra=takes(NewClient)
)
async def add_client(
    body: Annotated[NewClient, Depends(JsonBody(NewClient))],
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> NewClientSecret:
    """Add a client and return its secret, which cannot be shown again."""
    new = NewAccount(body.name, _scopes(body.scopes), _models(body.models), body.introspect)
    account, secret = await administration.add_client(new, by=principal.name)
    return NewClientSecret(name=account.name, secret=secret)


@router.patch("/clients/{name}", responses=_NOT_THERE | _BODY, openapi_extra=takes(AccountChange))
async def change_client(
    name: str,
    body: Annotated[AccountChange, Depends(JsonBody(AccountChange))],
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> ClientInfo:
    """Disable or enable a client, or change its scopes."""
    return _client(await _change(name, Kind.CLIENT, body, administration, principal))


@router.post("/clients/{name}/secret", responses=_NOT_THERE)
async def rotate_client_secret(
    name: str, administration: AdministrationDep, principal: PrincipalDep
) -> NewClientSecret:
    """Replace a client's secret and return the new one; revokes the old one and its tokens."""
    secret = await administration.rotate_secret(name, by=principal.name)
    return NewClientSecret(name=name, secret=secret)


@router.delete("/clients/{name}", status_code=204, responses=_NOT_THERE)
async def remove_client(
    name: str, administration: AdministrationDep, principal: PrincipalDep
) -> None:
    """Remove a client and revoke its tokens."""
    await administration.remove(name, Kind.CLIENT, by=principal.name)


async def _change(
    name: str,
    kind: Kind,
    body: AccountChange,
    administration: AdministrationDep,
    principal: PrincipalDep,
) -> Account:
    scopes = None if body.scopes is None else _scopes(body.scopes)
    return await administration.change(
        name, kind, is_disabled=body.disabled, scopes=scopes, by=principal.name
    )


def _scopes(names: list[str] | None) -> frozenset[Scope]:
    if names is None:
        return DEFAULT_SCOPES
    try:
        return frozenset(map(Scope, names))
    except ValueError:
        known = ", ".join(sorted(ALL_SCOPES))
        fault = Violation("/body/scopes", f"There are {known}")
        raise InvalidParameter(violations=(fault,)) from None


def _models(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "scopes": sorted(account.scopes),
        "models": None if account.models is None else sorted(account.models),
        "disabled": account.is_disabled,
        "created": datetime.fromtimestamp(account.created, UTC),
    }


def _client(account: Account) -> ClientInfo:
    return ClientInfo(**_shown(account), introspect=account.may_introspect)
