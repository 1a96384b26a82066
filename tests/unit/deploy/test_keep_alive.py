"""Idle connections: every hop keeps them longer than the one in front of it."""

from __future__ import annotations

import re
from typing import Any

import yaml

from service.settings import LimitSettings
from tests.support.deploy.manifest_files import committed, env_file, only
from tests.support.repository import ROOT

BALANCER = 60
"""Seconds that balancers of clouds keep idle connections."""
TRAEFIK = 90
"""Seconds that Traefik keeps idle connections to a server (``idleConnTimeout``)."""
CADDYFILE = (ROOT / "deploy/caddy/Caddyfile").read_text()
POLICIES = committed()


def seconds(pattern: str, text: str) -> int:
    """The only number of seconds that the pattern finds."""
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return int(found)


def envoy() -> tuple[int, int]:
    """Seconds that Envoy keeps idle connections of clients, and to Potoo."""
    resources: dict[str, Any] = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text())
    bootstrap = resources["static_resources"]
    (https,) = (one for one in bootstrap["listeners"] if one["name"] == "https")
    manager = https["filter_chains"][0]["filters"][0]["typed_config"]
    (http,) = (one for one in bootstrap["clusters"] if one["name"] == "http")
    (options,) = http["typed_extension_protocol_options"].values()
    found = [one["common_http_protocol_options"]["idle_timeout"] for one in (manager, options)]
    return int(found[0].removesuffix("s")), int(found[1].removesuffix("s"))


def test_potoo_keeps_connections_longer_than_the_shipped_proxies() -> None:
    kept = LimitSettings().keep_alive_seconds
    assert seconds(r"^\t+keepalive (\d+)s$", CADDYFILE) < kept
    assert envoy()[1] < kept
    policies = POLICIES["components/envoy-gateway/backends.yaml"]
    policy = only("BackendTrafficPolicy", policies, "potoo")
    assert policy["spec"]["timeout"]["http"]["connectionIdleTimeout"] == "10s"


def test_shipped_proxies_keep_connections_longer_than_a_balancer() -> None:
    assert seconds(r"POTOO_IDLE_TIMEOUT:(\d+)s", CADDYFILE) > BALANCER
    assert envoy()[0] > BALANCER
    policy = only("ClientTrafficPolicy", POLICIES["components/envoy-gateway/clients.yaml"])
    assert int(policy["spec"]["timeout"]["http"]["idleTimeout"].removesuffix("s")) > BALANCER


def test_pods_keep_connections_longer_than_a_gateway() -> None:
    assert int(env_file("base/settings.env")["POTOO_LIMITS__KEEP_ALIVE_SECONDS"]) > BALANCER
    single = env_file("overlays/single/settings.env")
    assert int(single["POTOO_LIMITS__KEEP_ALIVE_SECONDS"]) > TRAEFIK
