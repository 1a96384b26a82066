"""Registers the drop-in endpoints that ``[compatibility]`` enables."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from service.settings import CompatibilitySettings
from service.transport.http.compat import kserve_v1, predict, tf_serving, torchserve
from service.transport.http.middleware.error_formats import ErrorFormat


def add_routes(app: FastAPI, settings: CompatibilitySettings) -> None:
    """Register the enabled endpoints on the application."""
    if settings.tf_serving:
        tf_serving.add_routes(app)  # its :predict accepts all requests of KServe's
    elif settings.kserve_v1:
        kserve_v1.add_routes(app)
    if settings.torchserve:
        torchserve.add_routes(app)
    if settings.predict:
        predict.add_routes(app)


def error_formats(settings: CompatibilitySettings) -> tuple[ErrorFormat, ...]:
    """Return the error formats of the enabled endpoints; ``/predict`` uses problem details."""
    return (
        *((tf_serving.ERROR_FORMAT,) if settings.tf_serving else ()),
        *((kserve_v1.ERROR_FORMAT,) if settings.kserve_v1 else ()),
        *((torchserve.ERROR_FORMAT,) if settings.torchserve else ()),
    )


def bodies(settings: CompatibilitySettings) -> tuple[type[BaseModel], ...]:
    """Return the models that only the hand-written request bodies refer to."""
    if settings.tf_serving:
        return tf_serving.BODIES
    return kserve_v1.BODIES if settings.kserve_v1 else ()
