"""The parameter server, built at its first use: else its modules are not imported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from observability.logs.audit import Audit
from service.settings import Settings

if TYPE_CHECKING:
    from service.parameters.administration import ParameterAdministration


class ParametersOnDemand:
    """Builds the administration of runs once, when it is asked for."""

    def __init__(self, settings: Settings, audit: Audit) -> None:
        self._settings, self._audit = settings, audit
        self._built: ParameterAdministration | None = None

    def get(self) -> ParameterAdministration:
        """Return the administration."""
        if self._built is None:
            from service.parameters.administration import ParameterAdministration
            from service.parameters.store import ParameterStore

            self._built = ParameterAdministration(
                store=ParameterStore(self._settings.data_dir),
                settings=self._settings.training,
                audit=self._audit,
                now=lambda: datetime.now(UTC),
            )
        return self._built
