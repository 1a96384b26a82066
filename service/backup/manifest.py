"""The manifest of a backup: the first member of the archive, which lists all others."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.operator_error import OperatorError, first_fault

FORMAT = 1
"""Version of the archive's layout. Later ones are refused."""
MANIFEST_FILE = "manifest.json"
MAX_MANIFEST_BYTES = 256 * 2**20
SQLITE_MEMBER = "database/potoo.db"
POSTGRESQL_MEMBER = "database/potoo.dump"
KEYS, CAMERA_KEY, MODELS, PHOTOS = "keys", "camera-credentials.key", "models", "photos"
_FIRST_PARTS = frozenset({"database", KEYS, CAMERA_KEY, MODELS, PHOTOS})

Part = Literal["models", "datasets", "events"]
"""Contents that are backed up by choice."""
Kind = Literal["sqlite", "postgresql"]


class BackupRefused(OperatorError):
    """A backup cannot be made, read or restored; the message says why. Nothing is changed."""


def _is_inside(name: str) -> str:
    parts = name.split("/")
    if set(parts) & {"", ".", ".."} or "\\" in name or not name.isprintable():
        raise ValueError("the name leaves the folder of the backup")
    if parts[0] not in _FIRST_PARTS or (len(parts) == 1) != (name == CAMERA_KEY):
        raise ValueError("the name belongs to no part of a backup")
    return name


class Member(BaseModel):
    """A file of the archive.

    Attributes:
        name: relative path with slashes, such as ``keys/abc.pem``.
        size: bytes.
        sha256: of its content, in hexadecimal.
        modified: seconds since the epoch; of a signing key, when it was made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(max_length=1000), AfterValidator(_is_inside)]
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    modified: float = Field(ge=0, le=2**40, allow_inf_nan=False)

    @property
    def path(self) -> PurePosixPath:
        """The name as a path."""
        return PurePosixPath(self.name)


class Manifest(BaseModel):
    """Contents of a backup.

    Attributes:
        potoo: version of the program that made it.
        migration: revision of the tables, such as ``0006``.
        made: time of the copy of the database, with time zone.
        parts: what was chosen beside database, keys and policies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    potoo: str
    migration: str = Field(pattern=r"^[0-9]{4}$")
    made: datetime
    database: Kind
    parts: tuple[Part, ...] = ()
    members: tuple[Member, ...]

    def below(self, first: str) -> list[Member]:
        """Return the members whose names begin with this part."""
        return [member for member in self.members if member.path.parts[0] == first]


class _Format(BaseModel):
    format: int


def parse_manifest(text: bytes, head: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        head: the newest migration that this program knows.

    Raises:
        BackupRefused: it is damaged, or a later version of Potoo made the backup.
    """
    try:
        if _Format.model_validate_json(text).format > FORMAT:
            raise BackupRefused("a later version of Potoo made this backup: its format is newer")
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BackupRefused(f"{MANIFEST_FILE}: {first_fault(error, 'content')}") from error
    names = [member.name for member in manifest.members]
    if len(set(names)) != len(names):
        raise BackupRefused(f"{MANIFEST_FILE}: it lists a file twice")
    wanted = SQLITE_MEMBER if manifest.database == "sqlite" else POSTGRESQL_MEMBER
    if [member.name for member in manifest.below("database")] != [wanted]:
        raise BackupRefused(f"{MANIFEST_FILE}: it must list {wanted}, and no other database")
    if manifest.migration > head:
        raise BackupRefused(
            f"Potoo {manifest.potoo}, a later version, made this backup: its tables have the "
            f"revision {manifest.migration}, and this version knows {head} at most"
        )
    return manifest
