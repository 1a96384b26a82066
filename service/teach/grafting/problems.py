"""Why a head cannot be grafted."""

from __future__ import annotations


class CannotGraft(Exception):
    """The base's graph cannot carry the head. The message is for people, a whole sentence."""


class GraphDiffers(Exception):
    """The graph with the head does not compute what the head computes. For people, a sentence."""
