"""A ticket carries a call from its headers to its answer, despite changes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from observability.metrics.metrics import Metrics
from schemas.errors import DeadlineExceeded, ModelNotFound, NotReady, Overloaded
from service.core.engine.pool import WorkerPool
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.scheduling.priority import Priority
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.serving.registry import Registry
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.house import House
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import image_limits, write_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


class CountingRegistry(Registry):
    """Counts how often a model is looked up."""

    lookups = 0

    def get(self, name: str | None, version: int | str | None = None) -> Model:
        self.lookups += 1
        return super().get(name, version)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Model]:
    """A model whose queue holds two items."""
    pool = WorkerPool("ticket", 1)
    options = ModelOptions(image_limits(), RunSettings(threads_alone=1, queue_capacity=2))
    yield load_model(write_model(tmp_path), pool, options, Metrics())
    pool.close()


async def test_a_call_looks_its_model_up_once(small: Model) -> None:
    registry = CountingRegistry({"colours": small}, "colours")
    classifier = Classifier(registry, default_timeout=30)
    ticket = classifier.issue_ticket(None, None, ANYONE)
    classifier.admit(ticket)
    ref, _ = await classifier.classify(plain(RED), ticket, top_k=1)
    assert (ref.version, registry.lookups) == (1, 1)


async def test_a_version_promoted_during_the_upload_answers(house: House) -> None:
    ticket = house.classifier.issue_ticket(None, None, ANYONE)
    house.classifier.admit(ticket)
    house.add(2)
    await house.refresh()
    ref, answer = await house.classifier.classify(plain(RED), ticket, top_k=1)
    assert (ref.version, answer.predictions[0].label) == (2, "red 2")


async def test_a_ticket_does_not_keep_a_replaced_model_in_memory(house: House) -> None:
    ticket = house.classifier.issue_ticket(None, None, ANYONE)
    house.add(2)
    await house.refresh()
    await eventually(lambda: house.released == 1)
    ref, _ = await house.classifier.classify(plain(RED), ticket, top_k=1)
    assert ref.version == 2


async def test_version_unloaded_during_the_upload_is_not_found(
    house: House,
) -> None:
    ticket = house.classifier.issue_ticket("colours", 1, ANYONE)
    house.add(2)
    await house.refresh()
    with pytest.raises(ModelNotFound):
        await house.classifier.classify(plain(RED), ticket, top_k=1)


async def test_a_model_that_becomes_unready_during_the_upload_refuses(house: House) -> None:
    ticket = house.classifier.issue_ticket(None, None, ANYONE)
    ticket.model.set_ready(ready=False)
    with pytest.raises(NotReady):
        await house.classifier.classify(plain(RED), ticket, top_k=1)


async def test_another_default_model_is_for_later_calls(house: House) -> None:
    ticket = house.classifier.issue_ticket(None, None, ANYONE)
    house.registry.default = "other"
    ref, _ = await house.classifier.classify(plain(RED), ticket, top_k=1)
    assert ref.name == "colours"


async def test_dropped_tickets_leave_the_whole_queue_to_others(small: Model) -> None:
    classifier = Classifier(Registry({"colours": small}, "colours"), default_timeout=30)
    for _ in range(10):  # these callers left, or sent no image
        classifier.admit(classifier.issue_ticket(None, None, ANYONE))
    ticket = classifier.issue_ticket(None, None, ANYONE)
    calls = [classifier.classify(plain(RED), ticket, top_k=1) for _ in range(2)]
    assert len(await asyncio.gather(*calls)) == 2


async def test_admitted_calls_do_not_fill_the_queue_beyond_its_capacity(small: Model) -> None:
    classifier = Classifier(Registry({"colours": small}, "colours"), default_timeout=30)
    tickets = [classifier.issue_ticket(None, None, ANYONE) for _ in range(5)]
    for ticket in tickets:
        classifier.admit(ticket)  # the queue is empty
    calls = [classifier.classify(plain(RED), ticket, top_k=1) for ticket in tickets]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(one, Overloaded) for one in results] == [False, False, True, True, True]
    with pytest.raises(DeadlineExceeded):
        classifier.admit(classifier.issue_ticket(None, None, replace(ANYONE, timeout=0)))


async def test_the_body_of_a_request_may_change_its_schedule(small: Model) -> None:
    classifier = Classifier(Registry({"colours": small}, "colours"), default_timeout=30)
    ticket = classifier.issue_ticket(None, None, ANYONE)
    assert ticket.rescheduled(Priority.NORMAL, None) is ticket
    urgent = ticket.rescheduled(Priority.INTERACTIVE, None)
    assert (urgent.call.priority, urgent.timeout) == (Priority.INTERACTIVE, 30)
    brief = ticket.rescheduled(Priority.NORMAL, 2)
    assert (brief.timeout, brief.call.timeout, brief.call.owner) == (2, 2, ANYONE.owner)
    assert brief.model is ticket.model
