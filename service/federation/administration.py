"""Federations for callers: added, sent to, forgotten by sites, published."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from observability.logs.audit import Audit, AuditEvent
from schemas.errors import Conflict, NotFound, SiteForbidden, UpdateRefused
from schemas.federation import (
    FederationBase,
    NewFederation,
    Published,
    PublishOptions,
    Site,
    UpdateFault,
)
from schemas.serving import ServingPolicy
from schemas.teach.run import RunBase, RunOptions
from service.core.lifecycle.model_control import ModelControl
from service.core.repository.publishing import Draft
from service.core.repository.repository import ModelRefused, Repository
from service.federation.arithmetic.names import agree, aligned
from service.federation.checking import Expected, check
from service.federation.making import Made, make, read_base, temperature_of, write_version
from service.federation.records import StoredFederation
from service.federation.store import FederationStore
from service.federation.wire import SiteSums, decode
from service.settings.training import TrainingSettings
from service.teach.datasets.store.files import in_thread
from service.teach.features.extraction import Extractor
from service.teach.features.penultimate import NoFeatures
from service.teach.heads.sums import Sums
from service.teach.runs.preparing import find_base
from service.teach.runs.publishing import as_candidate, as_default


@dataclass(frozen=True, slots=True)
class FederationAdministration:
    """Administration of federations. ``by``: the acting account.

    Attributes:
        models: folder of the repository.
        default_model: returns the default model of the server, if it has one.
        now: returns the time, UTC.
        turns: of arithmetic, which takes seconds of a core and the memory of some matrices.
    """

    store: FederationStore
    control: ModelControl
    models: Path
    settings: TrainingSettings
    audit: Audit
    default_model: Callable[[], str | None]
    now: Callable[[], datetime]
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def all(self) -> list[StoredFederation]:
        """Return all federations, by name."""
        return await in_thread(self.store.all)

    async def get(self, name: str) -> StoredFederation:
        """Return a federation.

        Raises:
            NotFound: there is none.
        """
        return await in_thread(partial(self.store.get, name))

    async def find_base(self, options: NewFederation) -> RunBase:
        """Return the base that a federation would use.

        Raises:
            ModelNotFound, Conflict: see ``preparing.find_base``.
        """
        wanted = RunOptions(
            model=options.model, base=options.base, base_version=options.base_version
        )
        repository = Repository(self.models)
        return await in_thread(partial(find_base, repository, wanted, self.default_model()))

    async def add(self, options: NewFederation, base: RunBase, *, by: str) -> StoredFederation:
        """Add a federation.

        Args:
            base: see ``find_base``.

        Raises:
            Conflict: the name is taken, there are too many, or the base has no features.
        """
        folder = self.models / base.name / str(base.version)
        found = await in_thread(partial(describe_base, folder, options.feature))
        stored = StoredFederation(
            options=options,
            base=found,
            owner=by,
            created=self.now(),
            sites={
                name: Site(name=name, accounts=accounts) for name, accounts in options.sites.items()
            },
        )
        await in_thread(partial(self.store.add, stored, self.settings.max_federations))
        self.audit.record(
            AuditEvent.FEDERATION_ADDED, account=by, federation=options.name, model=options.model
        )
        return stored

    async def remove(self, name: str, *, by: str, is_admin: bool) -> None:
        """Remove a federation with all sums; versions that were published stay.

        Raises:
            NotFound, SiteForbidden: there is none, or the caller is not its owner.
        """
        _require_owner(await self.get(name), by, is_admin=is_admin)
        await in_thread(partial(self.store.remove, name))
        self.audit.record(AuditEvent.FEDERATION_REMOVED, account=by, federation=name)

    async def require_sender(self, name: str, site: str, *, by: str) -> StoredFederation:
        """Return a federation to which an account may send the sums of a site.

        Raises:
            NotFound: there is no such federation or site.
            SiteForbidden: the account may not send the sums of that site.
        """
        stored = await self.get(name)
        known = _site(stored, site)
        if by not in known.accounts:
            message = f"The account '{by}' may not send sums of the site '{site}'."
            raise SiteForbidden(message)
        return stored

    async def put(self, name: str, site: str, data: bytes, *, by: str) -> StoredFederation:
        """Take the sums of a site in place of its last ones, once they passed all checks.

        Raises:
            NotFound, SiteForbidden: see ``require_sender``.
            UpdateRefused: they cannot be sums of photos, or are not newer; the last ones stay.
        """
        stored = await self.require_sender(name, site, by=by)
        async with self.turns:
            given = await in_thread(partial(self._checked, stored, site, data))
        new = self._new_site(stored.sites[site], given, data, by)

        def replaced(current: StoredFederation) -> Site:
            _require_newer(_site(current, site), given)
            return new

        changed = await in_thread(partial(self.store.put, name, replaced, data))
        self.audit.record(
            AuditEvent.SITE_SUMS_SENT,
            account=by,
            federation=name,
            site=site,
            photos=new.photos,
            sequence=new.sequence,
        )
        return changed

    async def forget(self, name: str, site: str, *, by: str, is_admin: bool) -> None:
        """Remove the sums of a site: the next version is the one that the others alone give.

        Its sequence number stays, so that old sums cannot be sent again. The owner may do this,
        and the accounts of the site.

        Raises:
            NotFound, SiteForbidden: there are none, or the caller may not do it.
        """
        stored = await self.get(name)
        if by not in _site(stored, site).accounts:
            _require_owner(stored, by, is_admin=is_admin)

        def forgotten(current: StoredFederation) -> StoredFederation:
            known = _site(current, site)
            if not known.digest:
                message = f"There are no sums of the site '{site}'."
                raise NotFound(message)
            return current.with_site(
                Site(name=site, accounts=known.accounts, sequence=known.sequence)
            )

        await in_thread(partial(self.store.change, name, forgotten))
        self.audit.record(AuditEvent.SITE_SUMS_REMOVED, account=by, federation=name, site=site)

    async def publish(
        self, name: str, options: PublishOptions, *, by: str, is_admin: bool
    ) -> Published:
        """Add the sums up, solve them and publish the head as a version.

        Raises:
            NotFound, SiteForbidden: there is no such federation, or the caller is not its owner.
            Conflict: the sums are too few, or the version does not pass the server's checks.
        """
        stored = await self.get(name)
        _require_owner(stored, by, is_admin=is_admin)
        for site in options.leave_out:
            _site(stored, site)
        async with self.turns:
            made = await in_thread(partial(self._made, stored, options))
        version = None
        if not options.dry_run:
            version = await self._publish(stored, made, is_default=options.promote, by=by)
        return Published(
            model=stored.options.model,
            version=version,
            photos=made.photos,
            classes=list(made.classes),
            sites=list(made.sites),
            strength=made.solved.strength,
            temperature=made.temperature,
        )

    async def _publish(
        self, stored: StoredFederation, made: Made, *, is_default: bool, by: str
    ) -> int:
        name, base = stored.options.name, stored.base
        folder = self.models / base.name / str(base.version)

        def write(draft: Draft) -> None:
            write_version(draft, made, name, base, folder)

        def change(
            policy: ServingPolicy, available: Collection[int], answering: int | None, version: int
        ) -> ServingPolicy:
            chosen = as_default if is_default else as_candidate
            return chosen(policy, available, answering, version)

        version = await self.control.add(stored.options.model, write, by=by, change=change)

        def noted(current: StoredFederation) -> StoredFederation:
            return current.model_copy(update={"published": (*current.published, version)})

        await in_thread(partial(self.store.change, name, noted))
        self.audit.record(
            AuditEvent.FEDERATION_PUBLISHED,
            account=by,
            federation=name,
            model=stored.options.model,
            version=version,
        )
        return version

    def _made(self, stored: StoredFederation, options: PublishOptions) -> Made:
        """Return the head of the sums that are here. Blocks."""
        read_base(self.models / stored.base.name / str(stored.base.version), stored.base)
        names = [name for name in stored.present if name not in options.leave_out]
        rules = stored.rules
        classes = agree(rules, {name: stored.sites[name].classes for name in names})
        kept = [one.name for one in classes if one.is_kept]

        def sums_of(site: str) -> Sums | None:
            given = decode(self.store.sums(stored, site))
            return aligned(rules, kept, given.header.classes, given.sums)

        temperature = temperature_of(stored.sites[name].held_out for name in names)
        return make(names, classes, sums_of, options.strength, temperature)

    def _checked(self, stored: StoredFederation, site: str, data: bytes) -> SiteSums:
        """Return the sums in a body. Blocks."""
        given = decode(data)
        expected = Expected(
            site=site,
            base=stored.base,
            rules=stored.rules,
            min_photos=self.settings.min_photos,
            min_class_photos=self.settings.min_class_photos,
        )
        _require_newer(_site(stored, site), given)
        check(given, expected)
        return given

    def _new_site(self, known: Site, given: SiteSums, data: bytes, by: str) -> Site:
        header = given.header
        return Site(
            name=known.name,
            accounts=known.accounts,
            photos=sum(header.counts),
            classes=dict(zip(header.classes, header.counts, strict=True)),
            held_out=header.held_out,
            sequence=header.sequence,
            digest=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            received=self.now(),
            received_from=by,
        )


def describe_base(folder: Path, feature: str | None) -> FederationBase:
    """Return what sites must use to get the same features. Blocks.

    Args:
        folder: of the base's version.

    Raises:
        Conflict: it has no features.
    """
    from service.core.repository.version_files import read_manifest

    try:
        extractor = Extractor(folder, feature)
        manifest = read_manifest(folder)
    except (ModelRefused, NoFeatures) as error:
        message = f"The base {folder.parent.name} {folder.name} cannot be used."
        raise Conflict(message) from error
    return FederationBase(
        name=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        tensor=extractor.tensor,
        width=extractor.width,
        features=extractor.digest,
    )


def _site(stored: StoredFederation, site: str) -> Site:
    known = stored.sites.get(site)
    if known is None:
        message = f"The federation has no site '{site}'."
        raise NotFound(message)
    return known


def _require_newer(known: Site, given: SiteSums) -> None:
    if given.header.sequence <= known.sequence:
        message = (
            f"The sequence number {given.header.sequence} is not above {known.sequence}, that of "
            "the last sums of this site: these are older, or sent again."
        )
        raise UpdateRefused(UpdateFault.REPLAYED, message, "/header/sequence")


def _require_owner(stored: StoredFederation, by: str, *, is_admin: bool) -> None:
    if by != stored.owner and not is_admin:
        message = "This is for the owner of the federation, or an administrator."
        raise SiteForbidden(message)
