"""Changes to the models of a repository from the command line, checked as a server would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.shared.options import acting_user, models_audit

if TYPE_CHECKING:
    from service.core.lifecycle.model_control import ModelControl, Publisher
    from service.core.serving.model import Model
    from service.settings import Settings


@contextmanager
def open_control(settings: Settings) -> Iterator[ModelControl]:
    """Provide the changes that HTTP and gRPC offer, on the files of the repository."""
    from service.core.lifecycle.model_control import ModelControl
    from service.core.lifecycle.offline_models import OfflineModels
    from service.core.repository.repository import Repository

    with checking(settings) as check:
        host = OfflineModels(Repository(settings.models), check, settings.default_model)
        yield ModelControl(host, models_audit(settings))


def publisher(settings: Settings) -> Publisher:
    """Return what publishes new versions and records them in the security log."""
    from service.core.lifecycle.model_control import Publisher

    return Publisher(models_audit(settings), acting_user())


@contextmanager
def checking(settings: Settings) -> Iterator[Callable[[Path], Model]]:
    """Provide a check that loads a version as a server would, and frees it."""
    from observability.metrics.metrics import Metrics
    from service.runtime.runtime import model_loader, open_pool

    with open_pool(settings) as pool:
        load = model_loader(settings, pool, Metrics())

        def check(folder: Path) -> Model:
            model = load(folder)
            model.release()
            return model

        yield check
