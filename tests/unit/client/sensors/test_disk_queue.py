from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from client.sensors.errors import QueueInUse, QueueMismatch, QueueWriteFailed
from client.sensors.queue.disk_queue import LEAST_MAX_BYTES, DiskQueue
from client.sensors.queue.samples import as_samples
from schemas.sensor_wire.frames import HEADER, Frame, FrameType
from schemas.sensor_wire.messages import Data, parse
from schemas.sensor_wire.packing import Packing, Samples

Open = Callable[..., DiskQueue]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open queues; all are closed at the end."""
    queues: list[DiskQueue] = []

    def open_queue(folder: Path = tmp_path / "queue", channels: int = 1, **more: int) -> DiskQueue:
        queue = DiskQueue(folder, channels=channels, **more)  # type: ignore[arg-type]
        queues.append(queue)
        return queue

    yield open_queue
    for queue in queues:
        with suppress(OSError):
            queue.close()


def numbers(first: int, end: int, channels: int = 1) -> Samples:
    """Samples whose number is their sequence, in each channel."""
    return np.repeat(np.arange(first, end, dtype=np.float32), channels).reshape(-1, channels)


def contents(queue: DiskQueue, start: int = 0) -> dict[int, float]:
    """The first channel of all samples from a sequence on."""
    found: dict[int, float] = {}
    while frames := queue.read(start, below=queue.next_sequence, max_bytes=10_000):
        for frame in frames:
            data = parse(Frame(FrameType.DATA, frame.data[HEADER.size :]))
            assert isinstance(data, Data)
            assert (data.first, data.first + data.count) == (frame.first, frame.end)
            values = data.values(queue._channels)[:, 0]
            found |= dict(zip(range(frame.first, frame.end), map(float, values), strict=True))
            start = frame.end
    return found


def kill(queue: DiskQueue) -> None:
    """End the use of the files as kill -9 does: nothing is synced."""
    queue._close_files()
    queue.close = lambda: None  # type: ignore[method-assign]


@pytest.mark.parametrize("packing", [Packing.PLAIN, Packing.SHUFFLED | Packing.ZSTD])
def test_samples_come_back_with_their_numbers(opened: Open, packing: Packing) -> None:
    queue = opened(channels=3, packing=packing)

    assert queue.append(numbers(0, 70_000, 3)) == range(70_000)
    assert queue.append(numbers(70_000, 70_001, 3)) == range(70_000, 70_001)

    assert contents(queue) == {place: float(place) for place in range(70_001)}


def test_another_life_goes_on_with_epoch_and_numbers(opened: Open) -> None:
    queue = opened()
    queue.append(numbers(0, 10))
    epoch = queue.epoch
    kill(queue)

    queue = opened()

    assert (queue.epoch, queue.next_sequence, queue.synced, queue.began) == (epoch, 10, 10, 10)
    assert queue.append(numbers(10, 12)) == range(10, 12)
    assert contents(queue) == {place: float(place) for place in range(12)}


def test_numbers_go_on_when_everything_was_confirmed(opened: Open) -> None:
    queue = opened(max_bytes=LEAST_MAX_BYTES)
    queue.append(numbers(0, 200_000))
    queue.confirm(200_000)
    queue.close()

    queue = opened()

    assert queue.next_sequence == 200_000
    assert queue.size < LEAST_MAX_BYTES / 8


def test_time_of_the_first_sample_is_kept(opened: Open) -> None:
    queue = opened()
    queue.append(numbers(0, 1), at=1.5)
    (frame,) = queue.read(0, below=1, max_bytes=1)

    data = parse(Frame(FrameType.DATA, frame.data[HEADER.size :]))

    assert isinstance(data, Data)
    assert data.at == 1.5


def test_a_tail_cut_anywhere_loses_only_the_cut_frame(opened: Open, tmp_path: Path) -> None:
    queue = opened(tmp_path / "whole")
    queue.append(numbers(0, 3))
    size = queue.size
    queue.append(numbers(3, 6))
    kill(queue)
    (file,) = (tmp_path / "whole").glob("*.samples")

    for end in range(size, file.stat().st_size):
        folder = tmp_path / f"cut-{end}"
        shutil.copytree(tmp_path / "whole", folder)
        os.truncate(folder / file.name, end)
        cut = opened(folder)
        assert (cut.next_sequence, cut.size) == (3, size)
        assert cut.append(numbers(3, 5)) == range(3, 5)
        assert contents(cut) == {place: float(place) for place in range(5)}


def test_a_tail_damaged_anywhere_is_cut(opened: Open, tmp_path: Path) -> None:
    queue = opened(tmp_path / "whole")
    queue.append(numbers(0, 3))
    size = queue.size
    queue.append(numbers(3, 6))
    kill(queue)
    (file,) = (tmp_path / "whole").glob("*.samples")

    for place in range(size, file.stat().st_size):
        folder = tmp_path / f"damaged-{place}"
        shutil.copytree(tmp_path / "whole", folder)
        content = bytearray((folder / file.name).read_bytes())
        content[place] ^= 0xFF
        (folder / file.name).write_bytes(content)
        assert opened(folder).next_sequence == 3


def test_a_file_without_a_whole_header_is_left_out(opened: Open, tmp_path: Path) -> None:
    queue = opened()
    queue.append(numbers(0, 3))
    epoch = queue.epoch
    kill(queue)
    (tmp_path / "queue" / f"{epoch:016x}-{3:016x}.samples").write_bytes(b"PTQ1")

    queue = opened()

    assert (queue.epoch, queue.next_sequence) == (epoch, 3)
    assert len(list((tmp_path / "queue").glob("*.samples"))) == 1


def test_a_full_queue_drops_and_counts_the_oldest(opened: Open) -> None:
    queue = opened(max_bytes=LEAST_MAX_BYTES)

    for first in range(0, 400_000, 1000):
        queue.append(numbers(first, first + 1000))
        assert queue.size <= LEAST_MAX_BYTES

    found = contents(queue)
    assert list(found) == list(range(queue.first_sequence, 400_000))
    assert all(place == value for place, value in found.items())
    assert queue.dropped == queue.first_sequence > 100_000


def test_confirmed_samples_are_not_counted_as_dropped(opened: Open) -> None:
    queue = opened(max_bytes=LEAST_MAX_BYTES)
    for first in range(0, 200_000, 1000):
        queue.append(numbers(first, first + 1000))
        queue.confirm(queue.next_sequence)

    assert queue.dropped == 0
    assert not queue.can_drop(queue.next_sequence)


def test_a_damaged_file_in_the_middle_becomes_a_gap(opened: Open, tmp_path: Path) -> None:
    queue = opened(max_bytes=LEAST_MAX_BYTES)
    for first in range(0, 100_000, 1000):
        queue.append(numbers(first, first + 1000))
    kill(queue)
    files = sorted((tmp_path / "queue").glob("*.samples"))
    damaged = files[len(files) // 2]
    begin, end = (int(one.stem.split("-")[1], 16) for one in (damaged, files[len(files) // 2 + 1]))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    queue = opened()
    found = contents(queue)

    missing = sorted(set(range(100_000)) - set(found))
    assert missing == list(range(missing[0], end))
    assert begin < missing[0]
    assert queue.dropped == len(missing)


def test_damage_to_the_newest_file_while_it_is_open_becomes_a_gap(
    opened: Open, tmp_path: Path
) -> None:
    queue = opened()
    queue.append(numbers(0, 10))
    (file,) = (tmp_path / "queue").glob("*.samples")
    with file.open("r+b") as writable:
        writable.seek(-1, os.SEEK_END)
        writable.write(b"!")

    assert contents(queue) == {}
    assert queue.dropped == 10
    queue.append(numbers(10, 12))
    assert contents(queue) == {10: 10.0, 11: 11.0}


def test_read_begins_within_a_frame_and_ends_below(opened: Open) -> None:
    queue = opened()
    for first in range(0, 50, 10):
        queue.append(numbers(first, first + 10))

    frames = queue.read(15, below=35, max_bytes=10_000)

    assert [(one.first, one.end) for one in frames] == [(10, 20), (20, 30), (30, 40)]
    assert [one.first for one in queue.read(40, below=50, max_bytes=1)] == [40]
    assert queue.read(50, below=50, max_bytes=1) == []


def test_one_process_uses_a_queue(opened: Open) -> None:
    opened()

    with pytest.raises(QueueInUse):
        opened()


def test_another_number_of_channels_is_refused(opened: Open) -> None:
    queue = opened(channels=2)
    queue.append(numbers(0, 1, 2))
    queue.close()

    with pytest.raises(QueueMismatch, match="2 channels"):
        opened(channels=3)

    assert opened(channels=2).next_sequence == 1  # neither open nor damaged


def test_restart_numbers_the_samples_of_this_life_from_0(opened: Open) -> None:
    queue = opened()
    queue.append(numbers(0, 100))
    queue.close()
    queue = opened()
    old = queue.epoch
    queue.append(numbers(7, 10))

    queue.restart()

    assert queue.epoch > old
    assert contents(queue) == {0: 7.0, 1: 8.0, 2: 9.0}
    queue.close()
    queue = opened()
    assert (queue.next_sequence, contents(queue)) == (3, {0: 7.0, 1: 8.0, 2: 9.0})


def test_an_interrupted_restart_loses_nothing(opened: Open, tmp_path: Path) -> None:
    queue = opened()
    queue.append(numbers(0, 10))
    epoch = queue.epoch
    kill(queue)
    later = DiskQueue(tmp_path / "later", channels=1)
    later.restart()  # so that its epoch is greater within the same millisecond
    later.restart()
    assert later.epoch > epoch
    later.append(numbers(0, 1))
    later.close()
    (file,) = (tmp_path / "later").glob("*.samples")
    shutil.copy(file, tmp_path / "queue")
    (tmp_path / "queue" / "restarting").touch()

    queue = opened()

    assert (queue.epoch, queue.next_sequence) == (epoch, 10)
    assert not (tmp_path / "queue" / "restarting").exists()


def test_epochs_of_new_queues_grow(opened: Open, tmp_path: Path) -> None:
    first = opened(tmp_path / "1")
    monotone = opened(tmp_path / "2").epoch

    assert 1_600_000_000_000 < first.epoch <= monotone


def test_a_disk_that_is_full_is_reported_and_leaves_the_queue_whole(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = opened()
    queue.append(numbers(0, 10))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("client.sensors.queue.segment.os.pwrite", full)
        with pytest.raises(QueueWriteFailed, match="No space left"):
            queue.append(numbers(10, 20))

    assert queue.append(numbers(10, 12)) == range(10, 12)
    assert contents(queue) == {place: float(place) for place in range(12)}


def test_a_folder_that_cannot_be_written_is_reported(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(QueueWriteFailed):
        opened(tmp_path / "file")


@pytest.mark.parametrize(
    ("given", "channels", "shape"),
    [([1, 2, 3], 1, (3, 1)), ([1, 2, 3], 3, (1, 3)), ([[1, 2], [3, 4]], 2, (2, 2))],
)
def test_samples_may_come_in_these_shapes(
    given: object, channels: int, shape: tuple[int, int]
) -> None:
    assert as_samples(given, channels).shape == shape


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[n, 2\], not \[1, 3\]"):
        as_samples([1, 2, 3], 2)
