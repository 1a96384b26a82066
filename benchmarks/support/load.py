"""HTTP load from wrk, which is written in C and takes a few percent of a core, also measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "{content_type}"
{authorization}
function done(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors))
end
"""


class NoLoadGenerator(Exception):
    """wrk is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement. Latencies in milliseconds; ``own_cpu``: cores used by wrk itself."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    requests: int
    own_cpu: float


def post(
    url: str, body: bytes, content_type: str, token: str, *, clients: int, seconds: float
) -> Load:
    """Post the same body over ``clients`` keep-alive connections as fast as answers come.

    Args:
        token: for the Authorization header; empty sends no header.

    Raises:
        NoLoadGenerator: wrk is missing.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        message = "make bench needs wrk, a load generator: apt-get install wrk, or brew install wrk"
        raise NoLoadGenerator(message)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        authorization = f'wrk.headers["Authorization"] = "Bearer {token}"' if token else ""
        script = SCRIPT.format(
            body=folder / "body", content_type=content_type, authorization=authorization
        )
        (folder / "post.lua").write_text(script)
        command = [wrk, "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s"]
        command += ["-s", str(folder / "post.lua"), url]
        before = os.times()
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = os.times()
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, duration, p50, p99, errors = map(int, line.split()[1:])
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return Load(
        per_second=requests / duration * 1e6,
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        errors=errors,
        requests=requests,
        own_cpu=used / (duration / 1e6),
    )
