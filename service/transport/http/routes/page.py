"""The web page, Swagger UI and their files, served locally with a strict CSP.

Files are read once at start; requests look names up in a table.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response

from schemas.errors import NotFound
from service.transport.http.middleware.media_type import elements_of, list_of

WEB_FOLDER = Path(__file__).parents[3] / "web"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI sets style attributes and draws icons from data: URLs.
DOCS_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self'", "img-src 'self' data:"
)
STATIC_PATH = "/static/{name:path}"
DOCS = ("docs.", "swagger/")
"""Files that only ``/docs`` needs."""


class WebFile:
    """One file, ready to send."""

    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.etag = f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'
        self.media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    def response(self, request: Request, policy: str) -> Response:
        """Return the file, or 304 if the client has it; clients revalidate at every use."""
        headers = {
            "etag": self.etag,
            "cache-control": "no-cache",
            "content-security-policy": policy,
        }
        # A list, compared weakly (RFC 9110, section 13.1.2): proxies that compress weaken the tag.
        known = elements_of(list_of(request, b"if-none-match"))
        if {self.etag, f"W/{self.etag}", "*"} & set(known):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.media_type)


def web_router(folder: Path = WEB_FOLDER, *, has_docs: bool = True) -> APIRouter:
    """Build the router of ``/``, ``/docs`` and ``/static/...`` for the files of ``folder``."""
    files = {
        path.relative_to(folder).as_posix(): WebFile(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (has_docs or not path.relative_to(folder).as_posix().startswith(DOCS))
    }
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        return files["index.html"].response(request, PAGE_POLICY)

    async def docs(request: Request) -> Response:
        return files["docs.html"].response(request, DOCS_POLICY)

    if has_docs:
        router.get("/docs")(docs)

    @router.get(STATIC_PATH)
    async def static(name: str, request: Request) -> Response:
        file = files.get(name)
        if file is None:
            raise NotFound
        return file.response(request, DOCS_POLICY if name.startswith("swagger/") else PAGE_POLICY)

    return router
