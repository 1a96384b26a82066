"""Starting and stopping measured servers: other revisions, peers, hanging processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.http import bare_loop
from benchmarks.peers import environments, servers, work
from benchmarks.peers.comparison import best_class
from benchmarks.support import models, results, revisions, subject
from benchmarks.support.subject import ROOT, DoesNotStart, Subject
from service.core.repository.version_files import read_manifest

pytestmark = pytest.mark.process

ALONE = servers.Variant(workers=1, threads=1)
FASTAPI = next(peer for peer in servers.PEERS if peer.package == "fastapi")


@pytest.fixture
def everyday() -> Iterator[Path]:
    with models.assembled(models.DEFAULT) as folder:
        yield folder / models.DEFAULT / "1"


@pytest.mark.parametrize("kind", bare_loop.KINDS)
def test_peer_classifies_the_photo_correctly(kind: str, everyday: Path) -> None:
    # FastAPI is installed anyway; the others have environments of their own.
    with servers.running(FASTAPI, Path(sys.executable), everyday, kind, ALONE) as peer:
        index = best_class(peer)
        assert peer.cpu_seconds() > 0
    assert read_manifest(everyday).labels[index] == "cup"
    assert not peer.process.is_running()


def test_peer_start_failure_is_reported_with_its_reason(everyday: Path) -> None:
    broken = servers.Peer(
        "broken", "none", "/", lambda _: ["-c", "raise SystemExit('no luck')"], lambda _: [ALONE]
    )
    starting = servers.running(broken, Path(sys.executable), everyday, "textbook", ALONE)
    with pytest.raises(DoesNotStart, match="no luck"):
        starting.__enter__()


def test_potoo_start_failure_is_reported_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(DoesNotStart, match="no models in"):
        subject.running(tmp_path).__enter__()


def test_process_ignoring_sigterm_is_killed() -> None:
    process = _waiting("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    subject.stop(process, patience=0.1)
    assert process.poll() is not None
    assert not psutil.pid_exists(process.pid)


def test_idle_process_settles_at_once() -> None:
    process = _waiting("pass")
    idle = Subject("", "", 0, psutil.Process(process.pid))
    idle.settle()
    assert idle.memory_mib() >= idle.proportional_mib() > 0
    subject.stop(process)


def _waiting(first: str) -> subprocess.Popen[str]:
    """A process that has run a statement and then waits."""
    program = f"import signal; {first}; print(flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_peer_requirements_are_hashed_and_contain_no_url() -> None:
    for peer in servers.PEERS:
        text = environments.lock_of(peer.package).read_text()
        entries = text.replace("\\\n", " ").splitlines()
        assert entries
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        assert "://" not in text
        assert environments.version_of(peer.package)


def test_job_round_trips_through_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    given = work.PeerWork("folder", "better", port=1234, workers=2, threads=3, batch=8)
    for name, value in given.as_environment().items():
        monkeypatch.setenv(name, value)
    assert work.job() == given


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_peer_variants_use_no_more_threads_than_cores(cores: int) -> None:
    for peer in servers.PEERS:
        variants = peer.variants(cores)
        assert len(set(variants)) == len(variants) > 0
        assert all(variant.workers * variant.threads <= cores for variant in variants)


def test_revision_worktree_is_checked_out_and_removed() -> None:
    if not results.git("rev-parse", "HEAD"):
        pytest.skip("this is no git checkout")
    with revisions.checked_out(revisions.commit_of("HEAD")) as tree:
        assert (tree / "service" / "__main__.py").is_file()
        assert tree != ROOT
    assert not tree.exists()
    assert str(tree) not in results.git("worktree", "list")


def test_unknown_revision_is_named() -> None:
    with pytest.raises(revisions.NoSuchRevision, match="no-such-thing"):
        revisions.commit_of("no-such-thing")
