"""Typed state of the HTTP application: the objects that its routes use."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from observability.metrics.metrics import Metrics
from service.runtime.runtime import Runtime
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class AppState:
    """Objects of one running application; set when its lifespan starts.

    ``HttpState`` adds objects that only the HTTP modules use.
    """

    settings: Settings
    metrics: Metrics
    runtime: Runtime

    def set_on(self, app: Starlette) -> None:
        """Make these the objects of ``app``."""
        app.state.objects = self


def state_of(connection: HTTPConnection) -> AppState:
    """Return the objects of the application that serves the connection."""
    objects: AppState = connection.scope["app"].state.objects
    return objects
