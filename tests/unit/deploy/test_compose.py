"""Compose files: closed ports, resource limits, existing files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings, describe_settings, load_settings
from tests.support.deploy.compose_files import (
    FOLDER,
    VARIABLE,
    filled_in,
    parsed,
    services,
    text_of,
)
from tests.support.repository import ROOT
from tests.support.servers.databases import missing
from tools.pin_images import LINE, LOCK
from tools.prepare import main as prepare

FILES = ["compose.yaml", "compose.edge.yaml", "compose.acme.yaml"]
ACME = services("compose.acme.yaml")
SERVICES = services() | {"acme": ACME["acme"]}
VOLUMES = parsed()["volumes"] | parsed("compose.acme.yaml")["volumes"]
EDGES = {"caddy", "envoy"}
MADE_BY_PREPARE = {
    "./secrets/potoo",
    "./secrets/alertmanager",
    "./secrets/grafana",
    "./secrets/postgres",
    "./secrets/redis",
}
each_service = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> list[dict[str, Any]]:
    """Its volumes in the long form."""
    found = []
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            kind = "bind" if source.startswith(".") else "volume"
            long = {"type": kind, "source": source, "target": target, "read_only": mode == ["ro"]}
            found.append(long)
        else:
            found.append({**volume, "source": filled_in(volume["source"])})
    return found


# Each service


@each_service
def test_service_has_a_read_only_file_system_except_named_mounts(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert all(":size=" in folder for folder in service.get("tmpfs", []))
    for mount in mounts(service):
        assert mount["type"] == "volume" or mount["read_only"], mount


@each_service
def test_service_has_no_extra_capabilities(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    is_caddy = name in {"caddy", "acme"}
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if is_caddy else [])
    assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices"}


@each_service
def test_service_has_limits_for_cpu_memory_processes_and_logs(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(filled_in(limits["cpus"])) > 0
    assert re.fullmatch(r"\d+[mg]", filled_in(limits["memory"]))
    assert limits["pids"] > 0
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_service_has_a_health_check(name: str) -> None:
    if name == "potoo":
        assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@each_service
def test_service_waits_for_healthy_dependencies(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert how["condition"] == "service_healthy"


@each_service
def test_service_restarts_and_has_time_to_drain(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    seconds = int(service["stop_grace_period"].removesuffix("s"))
    environment = service.get("environment", {})
    drains = [
        float(environment.get(f"POTOO_DRAIN_{part}", 0)) for part in ("SECONDS", "DELAY_SECONDS")
    ]
    assert seconds > sum(drains)


@each_service
def test_only_the_edge_publishes_ports_beyond_localhost(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert name in EDGES or port.startswith("127.0.0.1:"), port


@each_service
def test_mounted_sources_exist(name: str) -> None:
    for mount in mounts(SERVICES[name]):
        source = mount["source"]
        if mount["type"] == "volume":
            assert source in VOLUMES
        elif source in MADE_BY_PREPARE | {"./certs"}:
            # Docker would create a missing folder, owned by root; compose must report it instead.
            assert mount["bind"] == {"create_host_path": False}
        else:
            assert (FOLDER / source).exists(), source


@each_service
def test_image_comes_from_the_lock_file(name: str) -> None:
    image = SERVICES[name]["image"]
    if name == "potoo":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert filled_in(image) == f"potoo:{project['version']}"
        assert SERVICES[name]["pull_policy"] == "never"
        return
    locked = {
        found["name"] for line in LOCK.read_text().splitlines() if (found := LINE.fullmatch(line))
    }
    variable = VARIABLE.fullmatch(image)
    assert variable
    assert variable["kind"] == ":?"
    assert variable["name"] in locked


# Passwords


def test_secrets_are_given_as_files_only() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY|(?<!PUBLIC_)URL", variable):
                assert variable.endswith(("_FILE", "__FILE", "_DIR")), variable
                assert str(value).startswith("/run/secrets"), variable


def test_prepared_secrets_are_exactly_those_mounted(tmp_path: Path) -> None:
    alerts = ["--alerts", "webhook:https://hooks.example/a"]
    prepare(["--site", "a.example", "--replicas", "2", "--folder", str(tmp_path), *alerts])
    made = {f"./{path.relative_to(tmp_path)}" for path in (tmp_path / "secrets").iterdir()}
    mounted = {
        mount["source"]: (name, mount["target"])
        for name, service in SERVICES.items()
        for mount in mounts(service)
        if "secrets" in mount["source"]
    }
    assert made == mounted.keys() == MADE_BY_PREPARE
    # Each service sees only its own secrets, and these exist.
    for source, (name, target) in mounted.items():
        assert source == f"./secrets/{name}"
        told = json.dumps([SERVICES[name].get(key) for key in ("environment", "command")])
        for file in re.findall(rf"{target}/([\w.]+)", told):
            assert (tmp_path / source / file).is_file(), file


@pytest.mark.process
def test_prepared_files_are_ignored_by_git(tmp_path: Path) -> None:
    if not shutil.which("git"):
        missing("git")
    folder = tmp_path / "deploy"
    folder.mkdir()
    prepare(["--site", "a.example", "--replicas", "2", "--folder", str(folder)])
    for other in ("certs/tls.crt", "authority/ca.key"):  # `potoo certs` writes them
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).touch()
    shutil.copy(ROOT / ".gitignore", tmp_path)
    no_config = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for command in (["init", "--quiet"], ["status", "--porcelain", "--untracked-files=all"]):
        done = subprocess.run(
            ["git", *command],
            cwd=tmp_path,
            env={**os.environ, **no_config},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "?? .gitignore\n"


def test_grafana_allows_no_anonymous_access() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"].startswith("/run/secrets/")


# Variables


@pytest.mark.parametrize("file", FILES)
def test_every_variable_has_a_default_or_an_error_message(file: str, tmp_path: Path) -> None:
    prepare(["--site", "a.example", "--folder", str(tmp_path)])
    names = {line.split("=")[0] for line in (tmp_path / ".env").read_text().splitlines()}
    names |= {line.split("=")[0] for line in LOCK.read_text().splitlines()}
    found = list(VARIABLE.finditer(text_of(file)))
    assert found
    for variable in found:
        assert variable["kind"] in {":-", ":?"}, variable[0]
        assert variable["rest"]
        if variable["kind"] == ":?":
            assert variable["name"] in names, "make prepare or the lock says it"


@pytest.mark.parametrize("file", FILES[:2])
def test_every_potoo_setting_exists_and_is_valid(
    file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = services(file)["potoo"]["environment"]
    known = {variable for _, variable, _, _ in describe_settings(Settings.model_construct())}
    assert environment.keys() - {"POTOO_SECRETS_DIR"} <= known
    for variable, value in environment.items():
        monkeypatch.setenv(variable, filled_in(value, POTOO_SITE="cam.example"))
    monkeypatch.setenv("POTOO_SECRETS_DIR", str(tmp_path))
    taken = {variable: value for _, variable, value, _ in describe_settings(load_settings())}
    for variable in environment.keys() - {"POTOO_SECRETS_DIR"}:
        assert taken[variable] is not None, variable


def test_edge_file_services_are_a_subset_of_the_main_file() -> None:
    assert services("compose.edge.yaml").keys() == {"potoo", "caddy"}
    assert services("compose.edge.yaml").keys() < SERVICES.keys()


# Certificates by ACME


def test_acme_file_changes_envoy_and_adds_one_service() -> None:
    assert ACME.keys() == {"acme", "envoy"}
    changed = ACME["envoy"]
    assert changed.keys() == {"command", "volumes", "depends_on"}
    # Envoy finds the client's name when it starts.
    assert changed["depends_on"] == {"acme": {"condition": "service_started"}}
    assert ACME["acme"]["profiles"] == SERVICES["envoy"]["profiles"]


def test_certificates_are_shared_with_envoy_and_the_account_is_not() -> None:
    (of_envoy,) = mounts(ACME["envoy"])
    (before,) = (one for one in mounts(SERVICES["envoy"]) if one["source"] == "./certs")
    assert of_envoy["target"] == before["target"], "it takes the place of the folder"
    assert of_envoy["read_only"] is True
    written = {one["target"]: one["source"] for one in mounts(ACME["acme"]) if not one["read_only"]}
    assert written == {"/certs": of_envoy["source"], "/data": "acme-data"}
    # Of its user and group alone: run.sh.
    (_, group) = ACME["acme"]["user"].split(":")
    assert group == SERVICES["envoy"]["user"].split(":")[1]


def test_acme_client_is_reachable_by_envoy_and_publishes_no_port() -> None:
    assert set(ACME["acme"]["networks"]) == {"edge"} <= set(SERVICES["envoy"]["networks"])
    assert "ports" not in ACME["acme"]
    added = yaml.safe_load(ACME["envoy"]["command"][-1])
    (cluster,) = added["static_resources"]["clusters"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    caddyfile = (FOLDER / "acme" / "Caddyfile").read_text()
    assert address["address"] == "acme"
    assert f"http_port {{$POTOO_HTTP_PORT:{address['port_value']}}}" in caddyfile


# Networks and profiles


def test_only_the_edge_shares_the_trusted_network() -> None:
    (subnet,) = parsed()["networks"]["inside"]["ipam"]["config"]
    trusted = json.loads(filled_in(SERVICES["potoo"]["environment"]["POTOO_TRUSTED_PROXIES"]))
    assert trusted == [str(ip_network(filled_in(subnet["subnet"])))]
    there = {name for name, service in SERVICES.items() if "inside" in service["networks"]}
    assert there == EDGES | {"potoo"}
    # On a second common network the edge might use an address that is not trusted.
    for edge in EDGES:
        assert set(SERVICES[edge]["networks"]) & set(SERVICES["potoo"]["networks"]) == {"inside"}


def test_potoo_and_the_stores_have_only_internal_networks() -> None:
    internal = {name for name, network in parsed()["networks"].items() if network.get("internal")}
    for name in ("potoo", "postgres", "redis"):
        assert set(SERVICES[name]["networks"]) <= internal


def test_every_prepared_profile_starts_one_edge(tmp_path: Path) -> None:
    known = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    choices = [
        (),
        ("--alerts", "ntfy:https://ntfy.example/a"),
        ("--small",),
        ("--stores",),
        ("--replicas", "2"),
    ]
    for number, choice in enumerate(choices):
        folder = tmp_path / str(number)
        folder.mkdir()
        prepare(["--site", "a.example", "--folder", str(folder), *choice])
        line = re.search(r"^COMPOSE_PROFILES=(.+)$", (folder / ".env").read_text(), re.MULTILINE)
        assert line
        chosen = set(line[1].split(","))
        assert chosen <= known
        started = {
            name
            for name, service in SERVICES.items()
            if not service.get("profiles") or chosen & set(service["profiles"])
        }
        assert len(started & EDGES) == 1
        assert "potoo" in started
        assert ("postgres" in started) == bool(chosen & {"stores", "replicas"})


def test_prometheus_targets_are_services_on_a_shared_network() -> None:
    configuration = (FOLDER / "prometheus" / "prometheus.yml").read_text()
    named = set(re.findall(r"names: \[(\w+)\]", configuration))
    assert {"potoo", "blackbox"} <= named <= SERVICES.keys()
    for name in named:
        shared = set(SERVICES["prometheus"]["networks"]) & set(SERVICES[name]["networks"])
        assert len(shared) == 1, name


def test_documented_broker_is_reached_by_a_network_of_its_own() -> None:
    page = (ROOT / "docs" / "cameras-results.md").read_text()
    (example,) = (
        yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    known = {variable for _, variable, _, _ in describe_settings(Settings.model_construct())}
    assert example["services"].keys() == {"potoo"}
    assert example["services"]["potoo"]["environment"].keys() < known
    (network,) = example["services"]["potoo"]["networks"]
    assert network not in parsed()["networks"]
    assert not (example["networks"][network] or {}).get("internal")


# Validation by compose


@pytest.mark.process
def test_docker_compose_accepts_the_files(tmp_path: Path) -> None:
    asked = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not asked or asked.returncode:
        pytest.skip("there is no docker compose on this machine")
    prepare(["--site", "a.example", "--replicas", "2", "--folder", str(tmp_path)])
    variables = [f"--env-file={file}" for file in (LOCK, tmp_path / ".env")]
    for names in FILES[:1], FILES[:2], [FILES[0], FILES[2]]:
        files = [f"--file={FOLDER / name}" for name in names]
        command = ["docker", "compose", *variables, *files, "config", "--quiet"]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr
