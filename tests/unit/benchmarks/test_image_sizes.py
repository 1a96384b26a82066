"""The comparison of image sizes: files and table."""

from __future__ import annotations

import io

from PIL import Image

from benchmarks.image_sizes import Row, encoded, table


def test_pictures_have_the_requested_longer_side() -> None:
    files = encoded((64, 16), ("coffee.png", "camera.png"))
    sizes = {side: {_size(body) for body in bodies} for side, bodies in files.items()}
    assert sizes == {64: {(64, 48)}, 16: {(16, 12)}}
    assert [len(bodies) for bodies in files.values()] == [2, 2]


def test_table_has_a_line_for_each_size() -> None:
    rows = [Row(side, 1.5, 2.0, 3.0, 4.0, 5, 0.25) for side in (64, 16)]
    head, *lines = table(rows).splitlines()
    assert head.split()[0] == "side"
    assert [line.split() for line in lines] == [
        ["64", "1.5", "4.0", "2.0", "3.0", "5", "0.25"],
        ["16", "1.5", "4.0", "2.0", "3.0", "5", "0.25"],
    ]


def _size(body: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(body)) as image:
        return image.size
