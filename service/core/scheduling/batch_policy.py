"""How one model's images are put together: sizes, delay, capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Durations are seconds. Settings of the same names: ``service/core/settings.py``."""

    max_batch_size: int = 1
    preferred_batch_sizes: tuple[int, ...] = ()
    """A batch of one of these sizes does not wait for more."""
    max_queue_delay: float = 0.0
    queue_capacity: int = 256
    instances: int = 64
    """Runs at a time; no more than the pool has threads can happen anyway."""

    def up_to(self, limit: int | None) -> BatchPolicy:
        """The same for a model that takes no larger batches than ``limit``."""
        most = min(self.max_batch_size, limit) if limit else self.max_batch_size
        fitting = tuple(size for size in self.preferred_batch_sizes if size <= most)
        return replace(self, max_batch_size=most, preferred_batch_sizes=fitting)

    def preferred(self, count: int) -> int:
        """The largest preferred size that ``count`` items fill; 0 if they fill none."""
        return max((size for size in self.preferred_batch_sizes if size <= count), default=0)
