"""The batching policy of a model: sizes, delay, capacity."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Batching limits, in seconds and items; ``service/core/settings.py`` has the same names."""

    max_batch_size: int = 1
    preferred_batch_sizes: tuple[int, ...] = ()
    """A batch of one of these sizes does not wait for more."""
    max_queue_delay: float = 0.0
    queue_capacity: int = 256
    instances: int = 64
    """Largest number of concurrent runs; the pool's threads limit it too."""

    def up_to(self, limit: int | None) -> BatchPolicy:
        """Return this policy for a model whose largest batch is ``limit``."""
        most = min(self.max_batch_size, limit) if limit else self.max_batch_size
        fitting = tuple(size for size in self.preferred_batch_sizes if size <= most)
        return replace(self, max_batch_size=most, preferred_batch_sizes=fitting)

    def preferred(self, count: int) -> int:
        """Return the largest preferred size that ``count`` items fill; 0 if there is none."""
        return max((size for size in self.preferred_batch_sizes if size <= count), default=0)
