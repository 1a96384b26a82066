"""Names in certificates: accepted, refused, and permitted by the CA."""

from __future__ import annotations

import pytest

from service.pki.names import MAX_NAMES, BadName, constraints_for, is_permitted, names_of, shown


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("potoo.lan", "potoo.lan"),
        ("  Potoo.LAN. ", "potoo.lan"),
        ("potoo.lan\n", "potoo.lan"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.lan", "xn--bcher-kva.lan"),
        ("a" * 63 + ".lan", "a" * 63 + ".lan"),
        (".".join(["a" * 62] * 4), ".".join(["a" * 62] * 4)),
        ("192.168.1.20", "192.168.1.20"),
        ("fd00::1:0", "fd00::1:0"),
        ("[fd00:0:0::1]", "fd00::1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_names_are_normalised(given: str, taken: str) -> None:
    assert [shown(name) for name in names_of([given])] == [taken]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("*.potoo.lan", "wildcards"),
        ("*", "wildcards"),
        ("https://potoo.lan", "without https://"),
        ("potoo.lan:8443", "or a port"),
        ("potoo lan", "not a host name"),
        ("potoo_1.lan", "not a host name"),
        ("-potoo.lan", "not a host name"),
        ("potoo-.lan", "not a host name"),
        ("potoo..lan", "not a host name"),
        (".lan", "not a host name"),
        ("", "not a host name"),
        ("potoo.lan\nbank.example", "not a host name"),
        ("potoo.lan\nDNS:bank.example", "without https://"),
        ("potoo.lan,DNS=bank.example", "not a host name"),
        ("a\x00b.lan", "not a host name"),
        ("bücher.lan", "xn--"),
        ("a" * 64 + ".lan", "not a host name"),
        (".".join(["a" * 63] * 4), "longer than 253"),
        ("a" * 10_000, "longer than 253"),
        ("192.168.1.300", "neither an address"),
        ("192.168.1", "neither an address"),
        ("1", "neither an address"),
        ("0.0.0.0", "cannot connect to this address"),  # noqa: S104 - nothing listens there
        ("::", "cannot connect to this address"),
        ("224.0.0.1", "cannot connect to this address"),
        ("fe80::1%eth0", "cannot connect to this address"),
        ("10.0.0.0/8", "without https://"),
        ("[potoo.lan]", "not a host name"),
    ],
)
def test_invalid_name_is_refused_in_one_short_line(given: str, reason: str) -> None:
    with pytest.raises(BadName) as caught:
        names_of(["good.lan", given])
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_duplicate_names_are_merged() -> None:
    assert len(names_of(["potoo.lan", "POTOO.lan", "::1", "0:0::1"])) == 2


def test_number_of_names_is_limited() -> None:
    with pytest.raises(BadName, match="no name is given"):
        names_of([])
    with pytest.raises(BadName, match="more than 100"):
        names_of([f"a{number}.lan" for number in range(MAX_NAMES + 1)])


@pytest.mark.parametrize(
    ("name", "permitted"),
    [
        ("potoo.example", True),
        ("grpc.potoo.example", True),
        ("other.lan", True),
        ("printer.local", True),
        ("10.1.2.3", True),
        ("fd12::1", True),
        ("203.0.113.8", True),
        ("notpotoo.example", False),
        ("example", False),
        ("bank.example", False),
    ],
)
def test_authority_permits_its_hosts_and_private_domains(name: str, permitted: bool) -> None:
    constraints = constraints_for(names_of(["potoo.example", "203.0.113.7"]))
    (one,) = names_of([name])
    assert is_permitted(one, constraints) is permitted
    assert is_permitted(one, None)
