"""Rows of datasets and photos, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.store.database import Database
from schemas.errors import Conflict, InvalidParameter, NotFound
from schemas.teach.dataset import (
    DatasetChange,
    DatasetKind,
    NewDataset,
    NewPhotoOptions,
    PhotoChange,
    PhotoQuery,
)
from tests.support.teach.kit import ANNA, NAME, Kit, open_kit, photo

pytestmark = [pytest.mark.anyio, pytest.mark.sql]


@pytest.fixture
def kit(database: Database, tmp_path: Path) -> Iterator[Kit]:
    with open_kit(database, tmp_path / "data", max_datasets=2, max_photos=5) as kit:
        yield kit


async def change(kit: Kit, **members: object) -> list[tuple[str, int]]:
    changed = await kit.datasets.administration.change(
        NAME, DatasetChange.model_validate(members), by=ANNA
    )
    return [(one.name, one.photos) for one in changed.classes]


async def test_a_dataset_shows_what_is_in_it(kit: Kit) -> None:
    await kit.add_dataset("glass", "paper")
    await kit.add_photo(1, "glass")
    await kit.add_photo(2)
    shown = await kit.datasets.administration.show(NAME)
    assert [(one.name, one.photos) for one in shown.classes] == [("glass", 1), ("paper", 0)]
    assert (shown.photos, shown.labelled, shown.created_by) == (2, 1, ANNA)
    assert shown.bytes == len(photo(1)) + len(photo(2))


async def test_names_and_numbers_of_datasets_are_bounded(kit: Kit) -> None:
    await kit.add_dataset()
    with pytest.raises(Conflict, match="exists"):
        await kit.add_dataset()
    await kit.add_dataset(name="b")
    with pytest.raises(Conflict, match="as many as allowed"):
        await kit.add_dataset(name="c")


async def test_quotas_may_not_exceed_those_of_the_server(kit: Kit) -> None:
    with pytest.raises(InvalidParameter) as caught:
        await kit.datasets.administration.add(NewDataset(name="a", max_photos=6), by=ANNA)
    assert [fault.pointer for fault in caught.value.violations] == ["/body/max_photos"]


async def test_quota_of_photos_holds_with_many_writers(kit: Kit) -> None:
    await kit.add_dataset()
    results = await asyncio.gather(
        *(kit.add_photo(number) for number in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in results) == 3
    shown = await kit.datasets.administration.show(NAME)
    assert (shown.photos, len(kit.files())) == (5, 5)


async def test_the_same_photo_by_many_writers_is_one(kit: Kit) -> None:
    await kit.add_dataset()
    added = await asyncio.gather(*(kit.add_photo(1) for _ in range(5)))
    assert len({one.id for one in added}) == 1
    assert len(kit.files()) == 1


async def test_pages_have_every_photo_once_newest_first(kit: Kit) -> None:
    await kit.add_dataset("glass")
    added = [await kit.add_photo(number) for number in range(5)]
    pages, after = [], None
    while True:
        page = await kit.datasets.directory.page(NAME, PhotoQuery(limit=2, after=after))
        assert page.total == 5
        pages.append([one.id for one in page.photos])
        if (after := page.next) is None:
            break
    assert pages == [
        [added[4].id, added[3].id],
        [added[2].id, added[1].id],
        [added[0].id],
    ]


async def test_filters_look_at_whole_names(kit: Kit) -> None:
    await kit.add_dataset('g%"_', "g", "other g", kind=DatasetKind.MULTI)
    first = await kit.add_photo(1, 'g%"_', "other g")
    second = await kit.add_photo(2, "g")
    third = await kit.add_photo(3)

    async def found(**members: object) -> list[str]:
        query = PhotoQuery.model_validate(members)
        return [one.id for one in (await kit.datasets.directory.page(NAME, query)).photos]

    assert await found(label="g") == [second.id]
    assert await found(label='g%"_') == [first.id]
    assert await found(label="other g", labelled=True) == [first.id]
    assert await found(labelled=False) == [third.id]


async def test_a_label_says_who_gave_it(kit: Kit) -> None:
    await kit.add_dataset("glass", "paper")
    added = await kit.add_photo(1)
    photos = kit.datasets.photo_administration
    assert (added.labels, added.labelled_by, added.labelled) == (None, None, None)
    labelled = await photos.change(NAME, added.id, PhotoChange(label=" GLASS "), by="ben")
    assert (labelled.labels, labelled.labelled_by) == (["glass"], "ben")
    assert labelled.labelled is not None
    grouped = await photos.change(NAME, added.id, PhotoChange(group="monday"), by="eve")
    assert (grouped.group, grouped.labels, grouped.labelled_by) == ("monday", ["glass"], "ben")
    removed = await photos.change(NAME, added.id, PhotoChange(labels=None), by="ben")
    assert (removed.labels, removed.labelled_by, removed.group) == (None, None, "monday")


async def test_labels_must_fit_the_dataset(kit: Kit) -> None:
    await kit.add_dataset("glass", "paper")
    added = await kit.add_photo(1)
    for labels in (["wood"], ["glass", "paper"], []):
        with pytest.raises(InvalidParameter) as caught:
            await kit.datasets.photo_administration.change(
                NAME, added.id, PhotoChange(labels=labels), by=ANNA
            )
        assert caught.value.violations[0].pointer == "/body/labels"
    with pytest.raises(NotFound):
        await kit.datasets.photo_administration.change(
            NAME, "0" * 20, PhotoChange(label="glass"), by=ANNA
        )


async def test_photos_of_many_labels_may_have_none_of_the_classes(kit: Kit) -> None:
    await kit.add_dataset("cat", "dog", kind=DatasetKind.MULTI)
    added = await kit.add_photo(1)
    change = kit.datasets.photo_administration.change
    both = await change(NAME, added.id, PhotoChange(labels=["dog", "cat"]), by=ANNA)
    assert both.labels == ["cat", "dog"]
    none = await change(NAME, added.id, PhotoChange(labels=[]), by=ANNA)
    assert none.labels == []
    assert (await kit.datasets.administration.show(NAME)).labelled == 1


async def test_classes_are_renamed_swapped_and_merged_with_their_photos(kit: Kit) -> None:
    await kit.add_dataset("glas", "paper", "card")
    for number, label in enumerate(("glas", "paper", "card", "card")):
        await kit.add_photo(number, label)
    assert await change(kit, rename={"Glas": "glass"}) == [("glass", 1), ("paper", 1), ("card", 2)]
    assert await change(kit, rename={"glass": "Glass"}) == [
        ("Glass", 1),
        ("paper", 1),
        ("card", 2),
    ]
    assert await change(kit, rename={"paper": "card", "card": "paper"}) == [
        ("Glass", 1),
        ("card", 1),
        ("paper", 2),
    ]
    # A new name that is alike to a class that stays becomes that class.
    assert await change(kit, rename={"card": "PAPER"}) == [("Glass", 1), ("paper", 3)]
    assert await change(kit, rename={"paper": "x", "Glass": "X"}) == [("x", 4)]


async def test_a_class_that_photos_have_cannot_be_left_out(kit: Kit) -> None:
    await kit.add_dataset("glass", "paper")
    await kit.add_photo(1, "glass")
    with pytest.raises(Conflict, match="'glass'"):
        await change(kit, classes=["paper", "new"])
    assert await change(kit, classes=["new", "glass"]) == [("new", 0), ("glass", 1)]
    with pytest.raises(InvalidParameter, match="not valid"):
        await change(kit, rename={"wood": "tree"})


async def test_the_same_photo_sent_again_is_labelled_once(kit: Kit) -> None:
    await kit.add_dataset("glass", "paper")
    first = await kit.add_photo(1)
    again = await kit.add_photo(1, "glass")
    assert (again.id, again.labels) == (first.id, ["glass"])
    with pytest.raises(Conflict, match=first.id):
        await kit.add_photo(1, "paper")


async def test_a_removed_dataset_takes_its_photos(kit: Kit) -> None:
    await kit.add_dataset()
    await kit.add_dataset(name="other")
    shared = await kit.add_photo(1)
    await kit.add_photo(1, name="other")
    only = await kit.add_photo(2)
    await kit.datasets.administration.remove(NAME, by=ANNA)
    (removal,) = kit.removals
    assert removal.dataset == NAME
    assert removal.digests == {shared.digest, only.digest}
    assert removal.unreferenced == {only.digest}
    assert len(kit.files()) == 1
    with pytest.raises(NotFound):
        await kit.datasets.administration.remove(NAME, by=ANNA)
    with pytest.raises(NotFound):
        await kit.datasets.photo_administration.add(NAME, photo(3), NewPhotoOptions(), by=ANNA)
