"""Orders on models in service; every order is recorded in the security log."""

from __future__ import annotations

from collections.abc import Collection

from observability.audit import Audit, AuditEvent
from schemas.errors import Conflict, ModelNotFound
from schemas.serving import ServingPolicy
from service.core.lifecycle.lifecycle import Lifecycle
from service.core.repository.serving_policy import (
    promoted,
    rolled_back,
    with_version,
    without_version,
)


class ModelControl:
    """Orders, stored in the model's policy, so that every process and every start follows them."""

    def __init__(self, lifecycle: Lifecycle, audit: Audit) -> None:
        self._lifecycle, self._audit = lifecycle, audit

    async def load(self, name: str, version: int | None = None, *, by: str) -> None:
        """Load a version beside the default one, even if it failed before.

        Args:
            version: None to load a model that was unloaded as a whole.

        Raises:
            ModelNotFound, Conflict: see ``Lifecycle.change``.
        """

        def change(policy: ServingPolicy, *_: object) -> ServingPolicy:
            if version is None:
                return policy.model_copy(update={"enabled": True})
            return with_version(policy, version)

        await self._lifecycle.change(name, change, version=version)
        self._audit.record(AuditEvent.MODEL_LOADED, account=by, model=name, version=version)

    async def unload(self, name: str, version: int | None = None, *, by: str) -> None:
        """Unload a version, or, without one, the whole model.

        Raises:
            ModelNotFound: there is no such model, or version.
            Conflict: it is a default or labelled; also see ``Lifecycle.change``.
        """
        registry = self._lifecycle.registry
        if version is None:
            if name == registry.default:
                message = "This is the default model, so it stays loaded."
                raise Conflict(message)
        else:
            self._refuse_needed(name, version)

        def change(policy: ServingPolicy, *_: object) -> ServingPolicy:
            if version is None:
                return policy.model_copy(update={"enabled": False})
            return without_version(policy, version)

        await self._lifecycle.change(name, change)
        self._audit.record(AuditEvent.MODEL_UNLOADED, account=by, model=name, version=version)

    async def promote(
        self,
        name: str,
        version: int,
        *,
        label: str | None = None,
        keep_default: bool = False,
        by: str,
    ) -> None:
        """Make a version the default, once it is loaded and passed its checks.

        Args:
            label: see ``serving_policy.promoted``; ``keep_default`` too.

        Raises:
            ModelNotFound, Conflict: see ``Lifecycle.change``.
        """

        def change(
            policy: ServingPolicy, _: Collection[int], answering: int | None
        ) -> ServingPolicy:
            return promoted(policy, version, answering, label=label, keep_default=keep_default)

        await self._lifecycle.change(name, change, version=version)
        self._audit.record(
            AuditEvent.MODEL_PROMOTED, account=by, model=name, version=version, label=label
        )

    async def choose_default(self, name: str, *, by: str) -> None:
        """Choose the default model of every server of the repository.

        The setting ``default_model`` of a server takes precedence.

        Raises:
            ModelNotFound, Conflict: see ``Lifecycle.choose_default``.
        """
        await self._lifecycle.choose_default(name)
        self._audit.record(AuditEvent.MODEL_DEFAULT_CHANGED, account=by, model=name)

    async def roll_back(self, name: str, *, by: str) -> None:
        """Restore the previous default version.

        Raises:
            ModelNotFound: there is no such model.
            Conflict: there is no version to return to, or it cannot be served.
        """
        await self._lifecycle.change(name, rolled_back)
        answers = self._lifecycle.registry.default_version(name)
        version = answers.ref.version if answers else None
        self._audit.record(AuditEvent.MODEL_ROLLED_BACK, account=by, model=name, version=version)

    def _refuse_needed(self, name: str, version: int) -> None:
        registry = self._lifecycle.registry
        if version not in registry.versions(name):
            message = "There is no such version of this model."
            raise ModelNotFound(message)
        answers = registry.default_version(name)
        if answers is not None and answers.ref.version == version:
            message = "This is the default version: promote another one first."
            raise Conflict(message)
        for label, number in registry.labels(name).items():
            if number == version:
                message = f"This version is labelled '{label}': move the label first."
                raise Conflict(message)
