"""A federation as the store has it, and as callers see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.federation import Federation, FederationBase, NewFederation, Site
from service.federation.arithmetic.names import NameRules, agree


class StoredFederation(BaseModel):
    """A federation. ``sites``: by name; all that may send, and what they have sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    options: NewFederation
    base: FederationBase
    owner: str
    created: datetime
    sites: dict[str, Site]
    published: tuple[int, ...] = ()

    @property
    def rules(self) -> NameRules:
        """How class names are agreed."""
        options = self.options
        return NameRules(tuple(options.classes), options.synonyms, options.lone_classes)

    @property
    def present(self) -> list[str]:
        """Names of the sites whose sums are here."""
        return sorted(name for name, site in self.sites.items() if site.digest)

    def with_site(self, site: Site) -> StoredFederation:
        """Return the federation with another state of a site."""
        return self.model_copy(update={"sites": {**self.sites, site.name: site}})


def shown(stored: StoredFederation) -> Federation:
    """Return a federation as callers see it."""
    options = stored.options
    return Federation(
        name=options.name,
        model=options.model,
        base=stored.base,
        owner=stored.owner,
        created=stored.created,
        lone_classes=options.lone_classes,
        sites=[stored.sites[name] for name in sorted(stored.sites)],
        classes=list(
            agree(stored.rules, {name: stored.sites[name].classes for name in stored.present})
        ),
        published=list(stored.published),
    )
