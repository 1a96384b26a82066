"""``make prepare``: writes the files of compose that are not in git: passwords and .env.

Compose mounts a secret with the owner and mode of its file on this machine, and each service runs
as a user of its own. So the files are readable by all, in a folder that only the owner can enter;
a container mounts only the files of its own folder.

Existing files are kept: a password changed here would not change in the database.
Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import secrets
from pathlib import Path

DEPLOY = Path(__file__).parents[1] / "deploy"
NAME = re.compile(r"[A-Za-z0-9.-]{1,253}")


def main(arguments: list[str] | None = None) -> None:
    """Write the missing files for the given options, and print a line for each."""
    given = _parser().parse_args(arguments)
    if given.small and (given.replicas > 1 or given.stores):
        _parser().error("a small box holds one Potoo without stores")
    with_stores = given.stores or given.replicas > 1
    for line in write_secrets(given.folder / "secrets", with_stores=with_stores):
        print(line)
    environment = given.folder / ".env"
    if environment.exists():
        print(f"kept     {environment} (move it away to have it written anew)")
        return
    environment.write_text(dotenv(given))
    print(f"written  {environment}")


def write_secrets(folder: Path, *, with_stores: bool) -> list[str]:
    """Write the missing secrets; return a line for each."""
    wanted = {"potoo/potoo_admin_password": _password(), "grafana/admin_password": _password()}
    if with_stores:
        wanted |= _of_stores(_kept(folder / "postgres/password"), _kept(folder / "redis/password"))
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    lines = []
    for name, text in wanted.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.parent.chmod(0o755)
        is_new = not file.exists()
        if is_new:
            file.touch(mode=0o600)
            file.write_text(text + "\n")
            file.chmod(0o444)
        lines.append(f"{'written ' if is_new else 'kept    '} {file}")
    return lines


def dotenv(given: argparse.Namespace) -> str:
    """Format .env: the operator's choices, no secrets."""
    profiles = ["replicas"] if given.replicas > 1 else ["box"]
    if given.stores and given.replicas == 1:
        profiles.append("stores")
    if not given.small:
        profiles.append("watch")
    lines = [
        "# Made by `make prepare`; yours to change.",
        f"COMPOSE_PROFILES={','.join(profiles)}",
        f"POTOO_SITE={given.site}",
        f"POTOO_TLS={given.email or 'internal'}",
        f"POTOO_REPLICAS={given.replicas}",
        f"POTOO_CPUS={cpus(os.cpu_count() or 1, given.replicas)}",
    ]
    if _is_address(given.site):  # clients that call an IP address send no host name
        lines.append(f"POTOO_DEFAULT_SNI={given.site}")
    if given.small:
        lines.append("COMPOSE_FILE=compose.yaml:compose.edge.yaml")
    elif given.replicas > 1 and given.email:  # Envoy speaks no ACME
        lines.append("COMPOSE_FILE=compose.yaml:compose.acme.yaml")
    return "\n".join(lines) + "\n"


def cpus(cores: int, replicas: int) -> str:
    """Return the cores of one replica with two digits, rounded down: Docker refuses more."""
    hundredths = max(1, 100 * cores // replicas)
    return f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")


def _of_stores(postgres: str, redis: str) -> dict[str, str]:
    """Return the passwords in the formats of each service."""
    return {
        "postgres/password": postgres,
        "potoo/potoo_database_url": f"postgresql://potoo:{postgres}@postgres/potoo",
        "redis/password": redis,
        "redis/redis.conf": f'requirepass {redis}\nsave ""\nappendonly no\n'
        "maxmemory 64mb\nmaxmemory-policy volatile-ttl",
        "potoo/potoo_auth__rate_store": f"redis://:{redis}@redis:6379/0",
    }


def _kept(file: Path) -> str:
    return file.read_text().strip() if file.exists() else _password()


def _password() -> str:
    return secrets.token_urlsafe(24)  # needs no escaping in a URL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make prepare", description=__doc__)
    parser.add_argument(
        "--site", required=True, type=_site, help="the public name: cam.example.org"
    )
    parser.add_argument(
        "--email", type=_email, help="for certificates of Let's Encrypt, not a LAN's"
    )
    parser.add_argument("--replicas", type=_count, default=1, help="more than one: behind Envoy")
    parser.add_argument("--small", action="store_true", help="a small box: Potoo and Caddy alone")
    parser.add_argument("--stores", action="store_true", help="PostgreSQL and Redis for one, too")
    parser.add_argument("--folder", type=Path, default=DEPLOY, help=argparse.SUPPRESS)
    return parser


def _site(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("a name such as cam.example.org, without https:// or port")
    return text


def _is_address(site: str) -> bool:
    try:
        ipaddress.ip_address(site)
    except ValueError:
        return False
    return True


def _email(text: str) -> str:
    if not re.fullmatch(r"[^\s@'\"$]+@[A-Za-z0-9.-]+", text):
        raise argparse.ArgumentTypeError("an e-mail address")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number, at least 1")
    return int(text)


if __name__ == "__main__":
    main()
