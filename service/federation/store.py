"""Federations on the disk: a folder each, with its state and a file of each site's sums.

The state names the files by their digests, and is replaced atomically after a file was written: a
killed server leaves the old sums of a site or the new ones. Every method blocks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from observability.logs.logging import get_logger
from schemas.errors import Conflict, NotFound, NotReady
from schemas.federation import Site
from service.core.repository.atomic_files import locked, replace_file
from service.core.repository.publishing import DISK_FULL
from service.federation.records import StoredFederation

FOLDER = Path("federations")
"""In the data folder."""
_STATE, _SUMS, _REMOVED = "federation.json", ".sums", ".removed-"
_FILE_MODE = 0o600


class FederationStore:
    """Federations by name. Several processes may share the folder."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / FOLDER

    def all(self) -> list[StoredFederation]:
        """Return all federations, by name; one that cannot be read is logged and left out."""
        if not self._root.is_dir():
            return []
        found = []
        for folder in sorted(self._root.iterdir()):
            if not folder.name.startswith(".") and (folder / _STATE).is_file():
                try:
                    found.append(self.get(folder.name))
                except (NotFound, NotReady):
                    get_logger("federation").warning("federation not read", federation=folder.name)
        return found

    def get(self, name: str) -> StoredFederation:
        """Return a federation.

        Raises:
            NotFound: there is none.
            NotReady: its state cannot be read.
        """
        try:
            text = (self._root / name / _STATE).read_bytes()
        except FileNotFoundError:
            message = f"There is no federation '{name}'."
            raise NotFound(message) from None
        try:
            return StoredFederation.model_validate_json(text)
        except ValidationError as error:
            message = "The state of the federation cannot be read."
            raise NotReady(message) from error

    def add(self, federation: StoredFederation, most: int) -> None:
        """Add a federation.

        Raises:
            Conflict: the name is taken, or there are ``most`` already.
            NotReady: the disk is full.
        """
        with self._writing():
            folder = self._root / federation.options.name
            if (folder / _STATE).exists():
                message = f"There is a federation '{federation.options.name}' already."
                raise Conflict(message)
            if len(self.all()) >= most:
                message = f"There are {most} federations already."
                raise Conflict(message)
            folder.mkdir(mode=0o700, exist_ok=True)
            self._write(federation)

    def remove(self, name: str) -> None:
        """Remove a federation with all sums.

        Raises:
            NotFound: there is none.
        """
        with self._writing():
            self.get(name)
            removed = self._root / f"{_REMOVED}{name}"
            shutil.rmtree(removed, ignore_errors=True)
            (self._root / name).rename(removed)
            shutil.rmtree(removed, ignore_errors=True)

    def change(
        self, name: str, change: Callable[[StoredFederation], StoredFederation]
    ) -> StoredFederation:
        """Change the state of a federation; sums that it does not name any more are removed.

        Args:
            change: may raise; then nothing changes.

        Raises:
            NotFound: there is none.
            NotReady: the disk is full.
        """
        with self._writing():
            changed = change(self.get(name))
            self._write(changed)
            self._sweep(changed)
            return changed

    def put(
        self,
        name: str,
        site: Callable[[StoredFederation], Site],
        sums: bytes,
    ) -> StoredFederation:
        """Store the sums of a site in place of its last ones.

        Args:
            site: returns its new state, or raises; then nothing changes.

        Raises:
            NotFound: there is no such federation.
            NotReady: the disk is full.
        """
        with self._writing():
            stored = self.get(name)
            new = site(stored)
            file = self._file(name, new)
            replace_file(file, sums, _FILE_MODE)
            changed = stored.with_site(new)
            self._write(changed)
            self._sweep(changed)
            return changed

    def sums(self, federation: StoredFederation, site: str) -> bytes:
        """Return the sums of a site.

        Raises:
            NotFound: they were removed meanwhile.
        """
        try:
            return self._file(federation.options.name, federation.sites[site]).read_bytes()
        except FileNotFoundError:
            message = f"The sums of the site '{site}' were removed or replaced meanwhile."
            raise NotFound(message) from None

    def _file(self, name: str, site: Site) -> Path:
        return self._root / name / f"{site.name}-{site.digest[:20]}{_SUMS}"

    def _write(self, federation: StoredFederation) -> None:
        folder = self._root / federation.options.name
        replace_file(folder / _STATE, federation.model_dump_json().encode(), _FILE_MODE)

    def _sweep(self, federation: StoredFederation) -> None:
        """Remove sums that the state does not name: replaced, removed, or of a killed process."""
        name = federation.options.name
        kept = {self._file(name, site) for site in federation.sites.values() if site.digest}
        for file in (self._root / name).glob(f"*{_SUMS}"):
            if file not in kept:
                file.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Exclude other writers.

        Raises:
            NotReady: the disk is full.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._root):
                yield
        except OSError as error:
            if error.errno in DISK_FULL:
                message = "The disk is full: nothing was changed."
                raise NotReady(message) from error
            raise
