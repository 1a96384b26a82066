"""Addresses allowed for pulling a model: https, the Hugging Face hub, or this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from schemas.operator_error import OperatorError

HUB = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"
"""The hub's own environment variable for the address of a mirror."""

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_HUB_SOURCE = re.compile(
    r"hf://(?P<org>[\w.-]+)/(?P<repo>[\w.-]+)/(?P<path>[^@]+?)(?:@(?P<revision>[\w./-]+))?"
)


class CannotPull(OperatorError):
    """The source is not usable, or the file from it is wrong."""


def url_of(source: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the URL to fetch, which is https or on this machine.

    Raises:
        CannotPull: the source is any other address.
    """
    if source.startswith("hf://"):
        found = _HUB_SOURCE.fullmatch(source)
        if found is None:
            message = f"'{source}' is not hf://ORG/REPOSITORY/PATH or .../PATH@REVISION"
            raise CannotPull(message)
        hub = environment.get(HUB_VARIABLE) or HUB
        path, revision = quote(found["path"]), quote(found["revision"] or "main", safe="")
        source = f"{hub.rstrip('/')}/{found['org']}/{found['repo']}/resolve/{revision}/{path}"
    if not is_safe(source):
        message = f"'{source}' cannot be pulled from: only https:// and hf:// can"
        raise CannotPull(message)
    return source


def is_safe(url: str) -> bool:
    """Return whether a URL is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
