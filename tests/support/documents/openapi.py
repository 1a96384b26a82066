"""The served OpenAPI document, and its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.app import create_app
from service.settings import Settings

PROBLEM = "application/problem+json"
OAUTH = {"/v1/auth/token", "/v1/auth/revoke", "/v1/auth/introspect"}
"""Routes with the error format of RFC 6749."""
Document = dict[str, Any]


def make_document() -> Document:
    """The served document without the version, which every release changes."""
    document: Document = create_app(Settings()).openapi()
    document["info"]["version"] = ""
    return document


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def parts(node: object, pointer: str = "") -> Iterator[tuple[str, Document]]:
    """Every object in the document and its path."""
    if isinstance(node, dict):
        yield pointer, node
        for name, inner in node.items():
            yield from parts(inner, f"{pointer}/{name}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from parts(inner, f"{pointer}/{number}")
