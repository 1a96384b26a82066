"""Registration of the drop-in endpoints that ``[compatibility]`` enables.

Only enabled ones are imported: all of them take 100 ms of a start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel

from service.settings import CompatibilitySettings
from service.transport.http.middleware.error_formats import ErrorFormat


class _DropIn(NamedTuple):
    """Drop-in endpoints of one protocol.

    ``error_format``: None for problem details; ``bodies``: schemas that only hand-written parts of
    the OpenAPI document refer to.
    """

    add_routes: Callable[[FastAPI], None]
    error_format: ErrorFormat | None = None
    bodies: tuple[type[BaseModel], ...] = ()


def add_routes(app: FastAPI, settings: CompatibilitySettings) -> None:
    """Add the routes of the enabled protocols."""
    for drop_in in _switched_on(settings):
        drop_in.add_routes(app)


def error_formats(settings: CompatibilitySettings) -> tuple[ErrorFormat, ...]:
    """Return their error formats; ``/predict`` imitates no protocol and uses Potoo's own format."""
    found = (drop_in.error_format for drop_in in _switched_on(settings))
    return tuple(error_format for error_format in found if error_format is not None)


def bodies(settings: CompatibilitySettings) -> tuple[type[BaseModel], ...]:
    """Return the schemas that only hand-written parts of their OpenAPI documents refer to."""
    return tuple(body for drop_in in _switched_on(settings) for body in drop_in.bodies)


def _switched_on(settings: CompatibilitySettings) -> Iterator[_DropIn]:
    if settings.tf_serving:  # its :predict accepts all that KServe's accepts
        from service.transport.http.compat import tf_serving

        yield _DropIn(tf_serving.add_routes, tf_serving.ERROR_FORMAT, tf_serving.BODIES)
    elif settings.kserve_v1:
        from service.transport.http.compat import kserve_v1

        yield _DropIn(kserve_v1.add_routes, kserve_v1.ERROR_FORMAT, kserve_v1.BODIES)
    if settings.torchserve:
        from service.transport.http.compat import torchserve

        yield _DropIn(torchserve.add_routes, torchserve.ERROR_FORMAT, torchserve.BODIES)
    if settings.predict:
        from service.transport.http.compat import predict

        yield _DropIn(predict.add_routes)
