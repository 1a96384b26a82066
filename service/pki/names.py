"""Permitted names of certificates, and name constraints of authorities."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from cryptography import x509

from schemas.operator_error import OperatorError

MAX_NAMES = 100
MAX_NAME_CHARS = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PRIVATE_DOMAINS = ("home.arpa", "internal", "lan", "local", "localhost")
"""Domains without public names (RFC 6761, 6762, 8375; `lan` by custom)."""


class BadName(OperatorError):
    """No certificate can have this name; the message says why."""


def names_of(given: Iterable[str]) -> list[x509.GeneralName]:
    """Parse host names and addresses for a certificate, each once, in the order given.

    Raises:
        BadName: a name is invalid, or there are no names or too many.
    """
    found = list(dict.fromkeys(_name(text) for text in given))
    if not found:
        raise BadName("no name is given: which one do clients call? (--name potoo.lan)")
    if len(found) > MAX_NAMES:
        raise BadName(f"more than {MAX_NAMES} names in one certificate")
    return found


def constraints_for(names: Sequence[x509.GeneralName]) -> x509.NameConstraints:
    """Return constraints that permit these hosts, their subdomains and private domains.

    So a stolen key cannot impersonate other sites, and hosts of the same network can be added later
    without a new authority on every phone. Addresses are not constrained: gRPC's TLS would then
    reject certificates for addresses (BoringSSL, "unsupported name constraint type").
    """
    hosts = [name.value for name in names if isinstance(name, x509.DNSName)]
    permitted = map(x509.DNSName, dict.fromkeys([*hosts, *_PRIVATE_DOMAINS]))
    return x509.NameConstraints(list(permitted), excluded_subtrees=None)


def is_permitted(name: x509.GeneralName, constraints: x509.NameConstraints | None) -> bool:
    """Return whether an authority with these constraints may sign a name; None permits all."""
    if constraints is None or not isinstance(name, x509.DNSName):
        return True
    hosts = [
        permitted.value
        for permitted in constraints.permitted_subtrees or ()
        if isinstance(permitted, x509.DNSName)
    ]
    return not hosts or any(f".{name.value}".endswith(f".{host}") for host in hosts)


def shown(name: x509.GeneralName) -> str:
    """Return a name as people type it."""
    return str(name.value)


def _name(text: str) -> x509.GeneralName:
    given = text.strip()
    bare = given.removeprefix("[").removesuffix("]") if given.startswith("[") else given
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return x509.DNSName(_host(given))
    if address.is_unspecified or address.is_multicast or "%" in bare:
        raise BadName(f"{_quoted(text)}: clients cannot connect to this address")
    return x509.IPAddress(address)


def _host(given: str) -> str:
    host = given.lower().removesuffix(".")
    labels = host.split(".")
    if not host.isascii():
        reason = "write it in its DNS form (xn--...)"
    elif "*" in host:
        reason = "wildcards are not supported: name every host"
    elif "/" in host or ":" in host:
        reason = "only the name, without https:// or a port"
    elif len(host) > MAX_NAME_CHARS:
        reason = f"longer than {MAX_NAME_CHARS} characters"
    elif not all(map(_LABEL.fullmatch, labels)):
        reason = (
            "not a host name: use letters, digits and hyphens, parts of 63 at most, joined by dots"
        )
    elif labels[-1].isdigit():
        reason = "neither an address nor a host name"
    else:
        return host
    raise BadName(f"{_quoted(given)}: {reason}")


def _quoted(text: str) -> str:
    """Quote text on one line, at most 80 characters of it."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
