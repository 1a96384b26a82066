"""A small OIDC issuer in a separate process.

It serves a discovery document and a key set on a free port. The test controls it over a pipe:
rotate or withdraw keys, stop, hang, send other responses. It also signs tokens, so that its private
keys stay inside.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.repository import ROOT

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Issuer:
    """Control of the issuer by tests. ``url`` is its ``iss``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = str(self._read())

    def rotate(self, algorithm: str = "ES256", *, keep: bool = True) -> str:
        """Publish a new key and sign with it; return its id. ``keep``: keep the old ones."""
        return str(self._tell("rotate", algorithm, keep))

    def replace(self) -> str:
        """Publish another key under the id of the last one."""
        return str(self._tell("replace"))

    def withdraw(self, *kids: str) -> None:
        """Stop publishing these keys, or all keys by default. They still sign."""
        self._tell("withdraw", list(kids))

    def add(self, *published: Mapping[str, object]) -> None:
        """Publish further JSON Web Keys, which may be invalid."""
        self._tell("add", list(published))

    def published(self) -> list[dict[str, str]]:
        """Return its currently published JSON Web Keys."""
        shown: list[dict[str, str]] = self._tell("published")
        return shown

    def answer(
        self,
        path: str,
        body: str | bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer a path with this from now on."""
        raw = body if isinstance(body, bytes) else body.encode()
        self._tell("answer", path, status, dict(headers or {}), base64.b64encode(raw).decode())

    def misbehave(self, path: str, how: str) -> None:
        """Set the fault: ``hang`` before the response, ``drip`` single bytes, or be ``endless``."""
        self._tell("misbehave", path, how)

    def behave(self) -> None:
        """Answer every path correctly again, with only its own keys."""
        self._tell("behave")

    def down(self) -> None:
        """Stop listening on its port."""
        self._tell("down")

    def up(self) -> None:
        """Listen again on the same port."""
        self._tell("up")

    def requests(self, path: str) -> int:
        """Return the number of requests of a path."""
        return int(self._tell("requests", path))

    def token(
        self, *, header: Mapping[str, object] | None = None, kid: str = "", **changes: object
    ) -> str:
        """An access token, signed with its newest key or that of ``kid``; None leaves a member out."""
        return str(self._tell("token", dict(header or {}), kid, changes))

    def _tell(self, command: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the issuer ended"
        return json.loads(line)


@contextmanager
def issuer_process() -> Iterator[Issuer]:
    """Run an issuer with an ES256 key."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.servers.issuer"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Issuer(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def published_key(private: Private, kid: str) -> dict[str, str]:
    """The public half as a JSON Web Key."""
    numbers = private.public_key().public_numbers()
    if isinstance(numbers, ec.EllipticCurvePublicNumbers):
        x, y = b64(numbers.x.to_bytes(32)), b64(numbers.y.to_bytes(32))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig"}
    e, n = (
        b64(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.e, numbers.n)
    )
    return {"kty": "RSA", "e": e, "n": n, "kid": kid, "use": "sig", "alg": "RS256"}


def signed(header: Mapping[str, object], claims: Mapping[str, object], private: Private) -> str:
    """A token in the algorithm of its key, created without the library under test."""
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    if isinstance(private, rsa.RSAPrivateKey):
        return f"{text}.{b64(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    r, s = decode_dss_signature(private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64(r.to_bytes(32) + s.to_bytes(32))}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    issuer: _Process

    def handle_error(self, *_: object) -> None:
        """Ignore disconnected clients, which tests expect."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        issuer = self.server.issuer
        issuer.counts[self.path] += 1
        how = issuer.moods.get(self.path)
        if how == "hang":
            threading.Event().wait()
        if how in {"drip", "endless"}:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * (1 if how == "drip" else 65_536))
                time.sleep(0.01 if how == "drip" else 0)
        status, headers, body = issuer.answers.get(self.path) or issuer.document(self.path)
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Process:
    """The issuer itself: its public methods are the commands."""

    def __init__(self) -> None:
        self._keys: dict[str, Private] = {}
        self._shown: list[str] = []
        self._further: list[object] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.moods: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._port = 0
        self.rotate("ES256", keep=False)
        self.up()
        self.url = f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.issuer, self._port = self, self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        self._server.shutdown()
        self._server.socket.close()

    def document(self, path: str) -> tuple[int, dict[str, str], bytes]:
        documents: dict[str, object] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + KEYS},
            KEYS: {"keys": [*self.published(), *self._further]},
        }
        found = path in documents
        return (200 if found else 404), {}, json.dumps(documents.get(path)).encode()

    def rotate(self, algorithm: str, keep: bool) -> str:
        kid = uuid.uuid4().hex
        self._keys[kid] = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(65_537, 2048)
        )
        self._shown = [*(self._shown if keep else []), kid]
        return kid

    def replace(self) -> str:
        kid = self._shown[-1]
        self._keys[kid] = ec.generate_private_key(ec.SECP256R1())
        return kid

    def withdraw(self, kids: list[str]) -> None:
        self._shown = [kid for kid in self._shown if kids and kid not in kids]

    def add(self, published: list[object]) -> None:
        self._further += published

    def published(self) -> list[dict[str, str]]:
        return [published_key(self._keys[kid], kid) for kid in self._shown]

    def answer(self, path: str, status: int, headers: dict[str, str], body: str) -> None:
        self.answers[path] = status, headers, base64.b64decode(body)

    def misbehave(self, path: str, how: str) -> None:
        self.moods[path] = how

    def behave(self) -> None:
        self.answers, self.moods, self._further = {}, {}, []

    def requests(self, path: str) -> int:
        return self.counts[path]

    def token(self, header: dict[str, object], kid: str, changes: dict[str, object]) -> str:
        kid, now = kid or list(self._keys)[-1], int(time.time())
        algorithm = "ES256" if isinstance(self._keys[kid], ec.EllipticCurvePrivateKey) else "RS256"
        claims = {
            "iss": self.url,
            "sub": "anna",
            "aud": "potoo",
            "client_id": "an app",
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "jti": uuid.uuid4().hex,
            "scope": "pictures",
            **changes,
        }
        head = {"alg": algorithm, "typ": "at+jwt", "kid": kid, **header}
        head, claims = (
            {name: value for name, value in part.items() if value is not None}
            for part in (head, claims)
        )
        return signed(head, claims, self._keys[kid])


def main() -> None:
    """Run commands until the test closes the pipe."""
    issuer = _Process()
    print(json.dumps(issuer.url), flush=True)  # noqa: T201 - the answer to the test
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(issuer, command)(*arguments)), flush=True)  # noqa: T201 - the same
    os._exit(0)


if __name__ == "__main__":
    main()
