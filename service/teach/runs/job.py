"""Work for the process that teaches, and what it says: JSON, a line each, over its pipes.

The server writes a job and reads the messages, the last of which is ``finished`` or ``failed``,
before it writes the next one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Literal

from schemas.teach.run import RunFailure, RunState, SkippedPhoto


@dataclass(frozen=True, slots=True)
class JobPhoto:
    """A photo of a job.

    Attributes:
        file: path of its bytes.
        labels: indices of its classes; empty: none of them is in it.
        group: photos with the same number are not independent.
    """

    id: str
    digest: str
    file: str
    labels: tuple[int, ...] = ()
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do.

    Attributes:
        kind: ``warm`` computes the features of the photos, nothing else; ``teach`` does the rest.
        base: folder of the base's version; ``base_sha256``: digest of its graph.
        feature: tensor to take; None: the penultimate.
        cache: folder of features.
        photos: labelled ones, or, to warm, all that may be.
        is_multi: whether a photo may have several labels.
        foreign: photos that show nothing of the classes.
        others: photos without labels, to be ranked if their features are there.
        output: empty folder for the version's files.
        model: name of the model to make; ``dataset``, ``run``: for its manifest.
    """

    kind: Literal["warm", "teach"]
    base: str
    base_sha256: str
    cache: str
    photos: tuple[JobPhoto, ...]
    feature: str | None = None
    is_multi: bool = False
    classes: tuple[str, ...] = ()
    class_weights: Literal["balanced", "none"] = "balanced"
    precision: float = 0.95
    foreign: tuple[JobPhoto, ...] = ()
    others: tuple[JobPhoto, ...] = ()
    output: str = ""
    model: str = ""
    dataset: str = ""
    run: str = ""

    def line(self) -> bytes:
        """Return the job as it is sent."""
        return _line(asdict(self))

    @classmethod
    def parse(cls, line: bytes) -> Job:
        """Parse a job."""
        given: dict[str, Any] = json.loads(line)
        for name in ("photos", "foreign", "others"):
            given[name] = tuple(
                JobPhoto(**{**one, "labels": tuple(one["labels"])}) for one in given[name]
            )
        given["classes"] = tuple(given["classes"])
        return cls(**given)


class Said(StrEnum):
    """Kinds of messages."""

    READY = "ready"
    """The process runs and its libraries are loaded."""
    STATE = "state"
    PROGRESS = "progress"
    SKIPPED = "skipped"
    TENSOR = "tensor"
    """The features that were found in the base's graph."""
    VERDICT = "verdict"
    RANKED = "ranked"
    """Photos without labels, the most useful to label first."""
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the process says. Which members have values depends on ``said``."""

    said: Said
    state: RunState | None = None
    done: int = 0
    total: int = 0
    skipped: SkippedPhoto | None = None
    tensor: str | None = None
    verdict: str | None = None
    """JSON of a ``Verdict``."""
    ranked: tuple[str, ...] = ()
    """Ids of photos."""
    code: RunFailure | None = None
    detail: str = ""
    trace: str = ""
    """For the log: where an error of ours came from."""
    seconds: float = 0.0
    """Since the job began."""

    def line(self) -> bytes:
        """Return the message as it is sent, without members that have no value."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.skipped is not None:
            given["skipped"] = self.skipped.model_dump()
        return _line({name: value for name, value in given.items() if value})

    @classmethod
    def parse(cls, line: bytes) -> Message:
        """Parse a message.

        Raises:
            ValueError: it is none.
        """
        given: dict[str, Any] = json.loads(line)
        given["said"] = Said(given["said"])
        given["ranked"] = tuple(given.get("ranked", ()))
        for name, kind in (("state", RunState), ("code", RunFailure)):
            if name in given:
                given[name] = kind(given[name])
        if "skipped" in given:
            given["skipped"] = SkippedPhoto(**given["skipped"])
        return cls(**given)


def _line(members: dict[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
