"""Served answers that people labelled: photos of the source ``answer``."""

from __future__ import annotations

from sqlalchemy import select

from auth.store.database import Database
from schemas.teach.dataset import PhotoSource, ServedAnswer
from service.teach.datasets.store.labels import labels_of
from service.teach.datasets.tables import PhotoRow

MOST = 5000
"""The newest that are read."""


async def count_labelled(
    database: Database, model: str, version: int, since: float
) -> tuple[int, int]:
    """Count answers of a version that people labelled the same, and otherwise.

    Args:
        since: seconds since the epoch; photos that were added before do not count.

    Raises:
        NotReady: the database does not answer.
    """
    query = (
        select(PhotoRow.label, PhotoRow.answer)
        .where(
            PhotoRow.source == PhotoSource.ANSWER.value,
            PhotoRow.added >= since,
            PhotoRow.label.is_not(None),
            PhotoRow.answer.is_not(None),
        )
        .order_by(PhotoRow.id.desc())
        .limit(MOST)
    )
    right = wrong = 0
    async with database.read() as session:
        rows = (await session.execute(query)).all()
    for label, stored in rows:
        answer = ServedAnswer.model_validate_json(stored or "")
        if (answer.model, answer.version) != (model, version):
            continue
        is_right = answer.label in (labels_of(label) or ())
        right, wrong = right + is_right, wrong + (not is_right)
    return right, wrong
