"""Runs on the disk: late workers, full disks, and what a kill leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import Conflict
from schemas.parameters import NewParameterRun
from schemas.tensor_file import decode, encode
from service.parameters.administration import NewPush, ParameterAdministration
from service.parameters.store import ParameterStore
from service.settings.training import TrainingSettings

NAME, OWNER = "run", "anna"
pytestmark = pytest.mark.anyio
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Kit:
    """A parameter server with a clock."""

    folder: Path
    passed: timedelta = field(default_factory=timedelta)

    @property
    def server(self) -> ParameterAdministration:
        """As after a start."""
        return ParameterAdministration(
            store=ParameterStore(self.folder),
            settings=TrainingSettings(max_parameter_runs=1),
            audit=Audit(Metrics()),
            now=lambda: START + self.passed,
        )

    async def begin(self, minimum: int, **options: float) -> None:
        given = {"name": NAME, "accounts": [], "minimum": minimum, **options}
        await self.server.add(NewParameterRun.model_validate(given), by=OWNER)
        await self.server.begin(NAME, encode({"w": np.zeros(2, np.float32)}))

    async def push(self, worker: str, value: float, version: int = 1) -> int:
        """Push and return the version."""
        data = encode({"w": np.full(2, value, np.float32)})
        pushed = await self.server.push(NAME, NewPush(OWNER, worker, version, 50, data))
        return pushed.version

    async def values(self) -> list[float]:
        run = await self.server.current(await self.server.get(NAME, by=OWNER))
        return [float(one) for one in decode(await self.server.values(run))["w"]]

    def files(self) -> list[str]:
        return sorted(path.name.split("-")[0] for path in self.folder.rglob("*.tensors"))


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


async def refused(call: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(Conflict) as error:
        await call()
    return error.value.detail


async def test_a_step_waits_for_enough_pushes(kit: Kit) -> None:
    await kit.begin(3)
    assert [await kit.push("a", 1), await kit.push("b", 2)] == [1, 1]
    assert kit.files() == ["push", "push", "values"]
    assert await kit.push("c", 3) == 2
    assert await kit.values() == pytest.approx([-0.2, -0.2])
    assert kit.files() == ["values"]


async def test_a_step_goes_on_without_late_workers(kit: Kit) -> None:
    await kit.begin(3, patience_seconds=60, trim=1)
    await kit.push("a", 1)
    kit.passed += timedelta(seconds=59)
    assert await kit.values() == [0, 0]
    kit.passed += timedelta(seconds=2)
    assert await kit.values() == pytest.approx([-0.1, -0.1])
    assert "behind" in await refused(lambda: kit.push("b", 1))
    assert await kit.push("b", 1, version=2) == 2


async def test_the_push_after_the_patience_makes_the_step(kit: Kit) -> None:
    await kit.begin(3, patience_seconds=60)
    await kit.push("a", 1)
    kit.passed += timedelta(seconds=60)
    assert await kit.push("b", 3) == 2
    assert await kit.values() == pytest.approx([-0.2, -0.2])


async def test_files_of_a_killed_step_are_not_used(kit: Kit) -> None:
    await kit.begin(2)
    await kit.push("a", 1)
    folder = kit.folder / "parameters" / NAME
    (folder / "values-2.tensors").write_bytes(b"half of the parameters")
    (folder / "push-0123.tensors").write_bytes(b"half of a push")
    assert await kit.values() == [0, 0]
    assert await kit.push("b", 3) == 2
    assert await kit.values() == pytest.approx([-0.2, -0.2])
    assert kit.files() == ["values"]


async def test_one_bad_worker_of_three_is_trimmed(kit: Kit) -> None:
    await kit.begin(3, trim=1)
    for worker, value in (("a", 1.0), ("bad", -1e8), ("c", 2.0)):
        await kit.push(worker, value)
    assert await kit.values() == pytest.approx([-0.1, -0.1])


async def test_runs_beyond_the_limit_and_second_parameters_are_refused(kit: Kit) -> None:
    await kit.begin(1)
    other = NewParameterRun(name="other", accounts=[])
    assert "already" in await refused(lambda: kit.server.add(other, by=OWNER))
    first = encode({"w": np.ones(2, np.float32)})
    assert "has parameters" in await refused(lambda: kit.server.begin(NAME, first))


async def test_a_run_without_parameters_takes_no_pushes(kit: Kit) -> None:
    await kit.server.add(NewParameterRun(name=NAME, accounts=[]), by=OWNER)
    assert "no parameters" in await refused(lambda: kit.push("a", 1))
