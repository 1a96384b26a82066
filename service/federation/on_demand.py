"""Federations, built at their first use: a server without them does not import their modules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from observability.logs.audit import Audit
from service.core.lifecycle.model_control import ModelControl
from service.settings import Settings

if TYPE_CHECKING:
    from service.federation.administration import FederationAdministration


class FederationsOnDemand:
    """Builds the administration of federations once, when it is asked for."""

    def __init__(
        self,
        settings: Settings,
        control: ModelControl,
        audit: Audit,
        default_model: Callable[[], str | None],
    ) -> None:
        self._settings, self._control, self._audit = settings, control, audit
        self._default_model = default_model
        self._built: FederationAdministration | None = None

    def get(self) -> FederationAdministration:
        """Return the administration."""
        if self._built is None:
            from service.federation.administration import FederationAdministration
            from service.federation.store import FederationStore

            self._built = FederationAdministration(
                store=FederationStore(self._settings.data_dir),
                control=self._control,
                models=self._settings.models,
                settings=self._settings.training,
                audit=self._audit,
                default_model=self._default_model,
                now=lambda: datetime.now(UTC),
            )
        return self._built
