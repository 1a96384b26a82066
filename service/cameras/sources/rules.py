"""Rules of the operator for sources of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.cameras.sources.addresses import PRIVATE_NETWORKS, Network, Resolve, resolve


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Rules for all sources.

    Attributes:
        networks: of the addresses that cameras may have. Metadata addresses of clouds are never
            allowed.
        files_dir: folder of the files that may be sources; None refuses all files.
        ca_file: PEM file with the authorities that cameras' TLS certificates are checked against;
            None for the system's.
        resolve: from host and port to addresses.
    """

    networks: Sequence[Network] = PRIVATE_NETWORKS
    files_dir: Path | None = None
    ca_file: Path | None = None
    resolve: Resolve = resolve
