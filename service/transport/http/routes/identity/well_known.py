"""``/.well-known/...``: public keys and metadata for OAuth libraries."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from auth.principal import ALL_SCOPES
from schemas.http.auth import JsonWebKeySet, ServerMetadata
from service.transport.dependencies import RuntimeDep, settings_of
from service.transport.http.routes.identity.oauth_forms import GRANTS

router = APIRouter(prefix="/.well-known", tags=["auth"])
CLIENT_METHODS = ["client_secret_basic", "client_secret_post"]


@router.get("/jwks.json")
async def get_jwks(runtime: RuntimeDep, response: Response) -> JsonWebKeySet:
    """Return the public keys that verify access tokens (RFC 7517), including the next ones."""
    response.headers["cache-control"] = "public, max-age=15"
    return runtime.identity.keys.public()


@router.get("/oauth-authorization-server", response_model_exclude_none=True)
async def get_oauth_metadata(request: Request, response: Response) -> ServerMetadata:
    """Return the server metadata (RFC 8414); URLs are reliable if `public_url` is set."""
    settings = settings_of(request)
    issuer = settings.auth.issuer
    if not issuer.startswith(("https://", "http://")):
        issuer = settings.public_url or _base(request)
    base = settings.public_url or issuer.rstrip("/")
    response.headers["cache-control"] = "no-store"
    return ServerMetadata(
        issuer=issuer,
        token_endpoint=f"{base}/v1/auth/token",
        revocation_endpoint=f"{base}/v1/auth/revoke",
        introspection_endpoint=f"{base}/v1/auth/introspect",
        jwks_uri=f"{base}/.well-known/jwks.json",
        scopes_supported=sorted(ALL_SCOPES),
        grant_types_supported=list(GRANTS),
        token_endpoint_auth_methods_supported=[*CLIENT_METHODS, "none"],
        introspection_endpoint_auth_methods_supported=CLIENT_METHODS,
        service_documentation=f"{base}/docs",
    )


def _base(request: Request) -> str:
    """Base URL as seen by the caller: address of the socket, scheme of a trusted proxy."""
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    shown = f"[{host}]" if ":" in host else host
    return f"{request.scope['scheme']}://{shown}" + (f":{port}" if port else "")
