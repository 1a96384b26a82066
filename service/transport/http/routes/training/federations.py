"""``/v1/federations``: sums of sites, and versions made of them; needs the scope ``train``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from auth.principal import Principal, Scope
from schemas.errors import InsufficientScope, NotFound, UnsupportedMediaType
from schemas.federation import (
    Federation,
    FederationList,
    FederationName,
    NewFederation,
    Published,
    PublishOptions,
    SiteName,
)
from service.transport.dependencies import (
    FederationsDep,
    PrincipalDep,
    require_model,
    requires,
    settings_of,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import BINARY, problems

PREFIX = "/v1/federations"
OCTETS = "application/octet-stream"
router = APIRouter(
    prefix=PREFIX,
    tags=["training"],
    dependencies=[requires(Scope.TRAIN), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
BODIES = (NewFederation, PublishOptions)
"""Request bodies of the routes, which read them themselves."""
BODY = problems(408, 413, 415, 422)
Name = Annotated[FederationName, Path()]
Place = Annotated[SiteName, Path()]
SUMS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file that `potoo sites sums` writes.",
        "content": {OCTETS: {"schema": BINARY}},
    }
}


@router.get("")
async def list_federations(federations: FederationsDep, caller: PrincipalDep) -> FederationList:
    """List the federations whose models the caller may use, by name."""
    from service.federation.records import shown

    found = await federations.all()
    visible = [one for one in found if caller.may_use(one.options.model)]
    return FederationList(federations=[shown(one) for one in visible])


@router.post(
    "", status_code=201, responses=problems(404, 409) | BODY, openapi_extra=takes(NewFederation)
)
async def add_federation(
    body: Annotated[NewFederation, Depends(JsonBody(NewFederation))],
    request: Request,
    response: Response,
    federations: FederationsDep,
    caller: PrincipalDep,
) -> Federation:
    """Add a federation: which sites may send sums, of which base's features, for which model.

    The caller becomes its owner, who publishes versions.
    """
    from service.federation.records import shown

    require_model(request, body.model)
    base = await federations.find_base(body)
    require_model(request, base.name)
    stored = await federations.add(body, base, by=caller.name)
    response.headers["location"] = f"{PREFIX}/{body.name}"
    return shown(stored)


@router.get("/{name}", responses=problems(404, 422))
async def get_federation(
    name: Name, federations: FederationsDep, caller: PrincipalDep
) -> Federation:
    """Return a federation: its base, its sites and what they sent, and the classes of all."""
    from service.federation.records import shown

    stored = await federations.get(name)
    if not caller.may_use(stored.options.model):
        message = f"There is no federation '{name}'."
        raise NotFound(message)
    return shown(stored)


@router.delete("/{name}", status_code=204, responses=problems(404, 422))
async def remove_federation(name: Name, federations: FederationsDep, caller: PrincipalDep) -> None:
    """Remove a federation and all sums; versions that it published stay. For its owner."""
    await federations.remove(name, by=caller.name, is_admin=is_admin(caller))


@router.put("/{name}/sites/{site}", responses=problems(404) | BODY, openapi_extra=SUMS)
async def put_site(
    name: Name,
    site: Place,
    request: Request,
    federations: FederationsDep,
    caller: PrincipalDep,
) -> Federation:
    """Send the sums of a site in place of its last ones; for the accounts of the site.

    They are refused, with the reason in `errors`, unless labelled photos can have given them.
    """
    from service.federation.records import shown

    await federations.require_sender(name, site, by=caller.name)
    if content_type_of(request).name != OCTETS:
        message = f"Send the file of sums as {OCTETS}."
        raise UnsupportedMediaType(message)
    uploads, limit = uploads_of(request), settings_of(request).training.max_sums_bytes
    with uploads.hold as hold:
        data = await uploads.reader.read(request, hold, limit)
        return shown(await federations.put(name, site, data, by=caller.name))


@router.delete("/{name}/sites/{site}", status_code=204, responses=problems(404, 422))
async def forget_site(
    name: Name, site: Place, federations: FederationsDep, caller: PrincipalDep
) -> None:
    """Remove the sums of a site: the next version is as if the site had never sent any.

    For the owner, and the accounts of the site.
    """
    await federations.forget(name, site, by=caller.name, is_admin=is_admin(caller))


@router.post(
    "/{name}/publish", responses=problems(404, 409) | BODY, openapi_extra=takes(PublishOptions)
)
async def publish_federation(
    name: Name,
    body: Annotated[PublishOptions, Depends(JsonBody(PublishOptions))],
    request: Request,
    federations: FederationsDep,
    caller: PrincipalDep,
) -> Published:
    """Make a version of the sums that are here, and say which sites harm. For the owner.

    The version is the candidate, as that of a run: the default version stays, unless the model is
    new or `promote` asks for it.
    """
    stored = await federations.get(name)
    require_model(request, stored.options.model)
    if body.promote and Scope.MODELS_WRITE not in caller.scopes:
        raise InsufficientScope(Scope.MODELS_WRITE)
    return await federations.publish(name, body, by=caller.name, is_admin=is_admin(caller))


def is_admin(caller: Principal) -> bool:
    """Return whether a caller may change what others own."""
    return Scope.ADMIN in caller.scopes
