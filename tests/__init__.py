"""Tests mirror the source: unit, contract, integration (real sockets), system (real programs)."""
