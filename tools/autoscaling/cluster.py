"""Replicas that start, serve and drain, and the proxy in front of them.

The proxy is Envoy's ``LEAST_REQUEST``: of two replicas picked at random the one with fewer
requests. A new pod takes traffic once it is ready; a draining pod answers what it accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.autoscaling.agenda import Agenda
from tools.autoscaling.replica import Replica, Request

COLD_START = (8.0, 18.0)
"""Seconds from a new pod's creation to its container's start and, once it is ready, to its first
request: scheduling, an image that the node has, the startup probe, the proxy's discovery. Assumed;
drawn for each pod. The server's own start is measured and added."""


class Cluster:
    """A Deployment, with its cost in pod-seconds up to the last change."""

    def __init__(
        self,
        agenda: Agenda,
        new_replica: Callable[[], Replica],
        ready_after: float,
        random: Random,
        replicas: int,
    ) -> None:
        """Start ``replicas`` ready ones; ``ready_after``: seconds until a new server is warm."""
        self._agenda, self._new_replica = agenda, new_replica
        self._ready_after, self._random = ready_after, random
        self.ready = [new_replica() for _ in range(replicas)]
        self._starting: list[Replica] = []
        self._paid = replicas
        """Pods that are paid for: starting, ready and draining ones."""
        self._pod_seconds, self._paid_until = 0.0, 0.0

    @property
    def size(self) -> int:
        """Replicas as requested: ready and starting ones."""
        return len(self.ready) + len(self._starting)

    @property
    def depth(self) -> int:
        """Value of ``sum(potoo_queue_depth)``."""
        return sum(replica.depth for replica in self.ready)

    def route(self, now: float, request: Request) -> None:
        """Send a request to one of the ready replicas."""
        ready, random = self.ready, self._random.random
        first = ready[int(random() * len(ready))]
        second = ready[int(random() * len(ready))]
        (first if first.depth <= second.depth else second).offer(now, request)

    def scale(self, now: float, replicas: int) -> None:
        """Scale to ``replicas``; pods that are not ready yet go first, then the youngest."""
        while self.size < replicas:
            replica = self._new_replica()
            self._starting.append(replica)
            self._pay(now, 1)
            after = self._random.uniform(*COLD_START) + self._ready_after
            self._agenda.add(now + after, self._is_ready, replica)
        while self.size > replicas:
            if self._starting:
                self._starting.pop()
                self._pay(now, -1)
            else:
                self._drain(now, self.ready.pop())

    def pod_seconds(self, now: float) -> float:
        """Return the pod-seconds so far."""
        self._pay(now, 0)
        return self._pod_seconds

    def _is_ready(self, now: float, replica: Replica) -> None:
        del now
        if replica in self._starting:
            self._starting.remove(replica)
            self.ready.append(replica)

    def _drain(self, now: float, replica: Replica) -> None:
        if replica.depth:
            replica.on_idle = lambda then: self._pay(then, -1)
        else:
            self._pay(now, -1)

    def _pay(self, now: float, change: int) -> None:
        self._pod_seconds += self._paid * (now - self._paid_until)
        self._paid += change
        self._paid_until = now
