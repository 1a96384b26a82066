"""The division of a process's resident memory by origin."""

from __future__ import annotations

from benchmarks.event_loop.memory import by_origin

SMAPS = """\
55a0-55a1 rw-p 00000000 00:00 0                          [heap]
Size:               2048 kB
Rss:                1024 kB
55b0-55b1 r-xp 00000000 fe:01 12   /a/site-packages/numpy/_core/x.so
Rss:                 512 kB
55c0-55c1 r--p 00000000 fe:01 13   /a/site-packages/numpy.libs/libopenblas.so
Rss:                 512 kB
55d0-55d1 r--p 00000000 fe:01 14   /usr/lib/libc.so.6
Rss:                 256 kB
55e0-55e1 rw-p 00000000 00:00 0
Rss:                2048 kB
55f0-55f1 rw-p 00000000 00:00 0                          [stack]
Rss:                 128 kB
"""


def test_mappings_are_summed_by_package_and_kind() -> None:
    assert by_origin(SMAPS) == {
        "heap": 3.0,
        "libraries of numpy": 1.0,
        "libraries of Python and the system": 0.2,
        "stacks": 0.1,
    }
