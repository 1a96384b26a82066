"""Runs for callers: added, pulled from, pushed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from observability.logs.audit import Audit, AuditEvent
from schemas.errors import Conflict, SiteForbidden, UpdateRefused
from schemas.federation import UpdateFault
from schemas.parameters import NewParameterRun, Pushed
from schemas.tensor_file import BadTensors, Tensors, decode, whole
from service.parameters.records import StoredRun, WaitingPush
from service.parameters.stepping import Push, mean, shortened, step
from service.parameters.store import ParameterStore
from service.settings.training import TrainingSettings
from service.teach.datasets.store.files import in_thread

MAX_MAGNITUDE = 1e9
"""Of a parameter or gradient: squares of larger ones are no float32."""


@dataclass(frozen=True, slots=True)
class NewPush:
    """Who pushes what. ``version``: that of the parameters that the gradients are of."""

    account: str
    worker: str
    version: int
    samples: int
    data: bytes

    @property
    def key(self) -> str:
        """The worker among those of all accounts."""
        return f"{self.account}/{self.worker}"


@dataclass(frozen=True, slots=True)
class ParameterAdministration:
    """Administration of runs. ``by``: the acting account; ``now``: returns the time, UTC."""

    store: ParameterStore
    settings: TrainingSettings
    audit: Audit
    now: Callable[[], datetime]

    async def all(self, *, by: str, is_admin: bool) -> list[StoredRun]:
        """Return the runs that an account may see, by name."""
        found = await in_thread(self.store.all)
        return [run for run in found if is_admin or _is_member(run, by)]

    async def get(self, name: str, *, by: str, is_admin: bool = False) -> StoredRun:
        """Return a run that an account may pull from and push to.

        Raises:
            NotFound, SiteForbidden: there is none, or the account is not one of it.
        """
        run = await in_thread(partial(self.store.get, name))
        if not is_admin and not _is_member(run, by):
            message = f"The account '{by}' is not one of the run."
            raise SiteForbidden(message)
        return run

    async def add(self, options: NewParameterRun, *, by: str) -> StoredRun:
        """Add a run without parameters.

        Raises:
            Conflict: the name is taken, or there are too many.
        """
        run = StoredRun(options=options, owner=by, created=self.now())
        await in_thread(partial(self.store.add, run, self.settings.max_parameter_runs))
        self.audit.record(AuditEvent.PARAMETERS_ADDED, account=by, run=options.name)
        return run

    async def remove(self, name: str, *, by: str, is_admin: bool) -> None:
        """Remove a run with its parameters.

        Raises:
            NotFound, SiteForbidden: there is none, or the caller is not its owner.
        """
        await self.require_owner(name, by=by, is_admin=is_admin)
        await in_thread(partial(self.store.remove, name))
        self.audit.record(AuditEvent.PARAMETERS_REMOVED, account=by, run=name)

    async def require_owner(self, name: str, *, by: str, is_admin: bool) -> None:
        """Require that a caller may change a run.

        Raises:
            NotFound, SiteForbidden: there is none, or the caller is not its owner.
        """
        run = await in_thread(partial(self.store.get, name))
        if by != run.owner and not is_admin:
            message = "This is for the owner of the run, or an administrator."
            raise SiteForbidden(message)

    async def current(self, run: StoredRun) -> StoredRun:
        """Return a run, after the step that has waited for workers as long as it may."""
        if not run.has_waited(self.now()):
            return run
        return await in_thread(partial(self._step_without_others, run.options.name))

    async def values(self, run: StoredRun) -> bytes:
        """Return the parameters of a run's version, as tensors.

        Raises:
            NotFound: there are none.
        """
        return await in_thread(partial(self.store.values, run))

    async def begin(self, name: str, data: bytes) -> StoredRun:
        """Take the first parameters of a run.

        Raises:
            Conflict: it has parameters already.
            UpdateRefused: they are no tensors.
        """
        return await in_thread(partial(self._begin, name, data))

    async def push(self, name: str, push: NewPush) -> Pushed:
        """Take gradients; do a step once as many wait as the run asks for.

        Raises:
            NotFound: there is no such run.
            Conflict: the push is stale, or the worker has pushed for this version already.
            UpdateRefused: the gradients do not fit the parameters, or are of too few samples.
        """
        return await in_thread(partial(self._push, name, push))

    def _begin(self, name: str, data: bytes) -> StoredRun:
        values = _tensors(data)
        if not values:
            raise UpdateRefused(UpdateFault.WRONG_SHAPE, "There are no tensors.")
        with self.store.writing():
            run = self.store.get(name)
            if run.version:
                message = "The run has parameters: add another run."
                raise Conflict(message)
            begun = run.model_copy(update={"version": 1})
            self.store.keep_version(begun, values, {})
            self.store.save(begun)
            return begun

    def _push(self, name: str, push: NewPush) -> Pushed:
        with self.store.writing():
            run = self.store.get(name)
            if not run.version:
                message = "The run has no parameters yet."
                raise Conflict(message)
            self._require_current(run, push)
            values = decode(self.store.values(run))
            try:
                gradients = self._gradients(push, values)
            except UpdateRefused:
                self.store.save(run.model_copy(update={"refused": run.refused + 1}))
                raise
            accepted = run.model_copy(
                update={
                    "pushes": run.pushes + 1,
                    "samples": run.samples + push.samples,
                    "workers": {**run.workers, push.key: push.version},
                }
            )
            enough = len(run.waiting) + 1 >= run.options.minimum
            if not enough and not run.has_waited(self.now()):
                return self._wait(accepted, push)
            done = self._step(accepted, values, [Push(gradients, push.samples)])
            return Pushed(version=done.version, is_applied=True, waiting=0)

    def _step_without_others(self, name: str) -> StoredRun:
        with self.store.writing():
            run = self.store.get(name)
            if not run.has_waited(self.now()):  # another caller did it
                return run
            return self._step(run, decode(self.store.values(run)), [])

    def _require_current(self, run: StoredRun, push: NewPush) -> None:
        """Require that a push is of parameters that are recent, and new of its worker."""
        if push.version > run.version:
            message = f"There is no version {push.version} yet: the last one is {run.version}."
            raise Conflict(message)
        if run.version - push.version > run.options.max_staleness:
            self.store.save(run.model_copy(update={"stale": run.stale + 1}))
            message = (
                f"The gradients are of version {push.version}, {run.version - push.version} steps "
                f"behind; {run.options.max_staleness} are permitted. Pull version {run.version}."
            )
            raise Conflict(message)
        if push.version <= run.workers.get(push.key, 0):
            self.store.save(run.model_copy(update={"refused": run.refused + 1}))
            message = f"This worker has pushed for version {push.version} already."
            raise Conflict(message)

    def _gradients(self, push: NewPush, values: Mapping[str, NDArray[np.float32]]) -> Tensors:
        if push.samples < self.settings.min_photos:
            message = (
                f"The gradients are of {push.samples} samples; {self.settings.min_photos} are the "
                "least, since those of few can show single ones."
            )
            raise UpdateRefused(UpdateFault.TOO_FEW, message)
        gradients = _tensors(push.data)
        if gradients.keys() != values.keys():
            message = f"There must be gradients of {', '.join(sorted(values))[:500]}."
            raise UpdateRefused(UpdateFault.WRONG_SHAPE, message)
        for name, value in values.items():
            if gradients[name].shape != value.shape:
                message = f"'{name}' must have the shape {list(value.shape)}."
                raise UpdateRefused(UpdateFault.WRONG_SHAPE, message)
        return gradients

    def _wait(self, run: StoredRun, push: NewPush) -> Pushed:
        digest = self.store.keep_push(run, push.data)
        waiting = WaitingPush(worker=push.key, samples=push.samples, digest=digest)
        since = run.waits_since if run.waiting else self.now()
        run = run.model_copy(update={"waiting": (*run.waiting, waiting), "waits_since": since})
        self.store.save(run)
        return Pushed(version=run.version, is_applied=False, waiting=len(run.waiting))

    def _step(self, run: StoredRun, values: Tensors, last: Sequence[Push]) -> StoredRun:
        """Do a step of the waiting pushes and the last one; at least one of these is there."""
        options = run.options
        pushes = [Push(self.store.push(run, one.digest), one.samples) for one in run.waiting]
        pushes = [
            Push(shortened(one.gradients, options.max_norm), one.samples)
            for one in [*pushes, *last]
        ]
        # Fewer than wanted may be there if the others are late.
        gradients = mean(pushes, min(options.trim, (len(pushes) - 1) // 2))
        # The first version is the first parameters, so its number is that of the first step.
        moments = self.store.moments(run)
        new, kept = step(values, moments, gradients, options.optimiser, run.version)
        if not all(np.isfinite(one).all() for one in new.values()):
            message = "The step would make parameters that are not finite."
            raise UpdateRefused(UpdateFault.TOO_LARGE, message)
        done = run.model_copy(
            update={"version": run.version + 1, "waiting": (), "waits_since": None}
        )
        self.store.keep_version(done, new, kept)
        self.store.save(done)
        return done


def _tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a body as float32.

    Raises:
        UpdateRefused: they are none, or too large.
    """
    try:
        found = whole(decode(data))
    except BadTensors as error:
        _malformed(str(error))
    for name, tensor in found.items():
        if tensor.size and not float(np.abs(tensor).max()) <= MAX_MAGNITUDE:
            message = f"'{name[:60]}' has numbers beyond {MAX_MAGNITUDE:g}."
            raise UpdateRefused(UpdateFault.TOO_LARGE, message)
    return found


def _malformed(message: str) -> NoReturn:
    fault = UpdateFault.NOT_FINITE if "not finite" in message else UpdateFault.MALFORMED
    raise UpdateRefused(fault, message) from None


def _is_member(run: StoredRun, account: str) -> bool:
    return account == run.owner or account in run.options.accounts
