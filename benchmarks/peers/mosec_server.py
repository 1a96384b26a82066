"""mosec, as its examples are written: one stage that decodes, runs and answers."""

from __future__ import annotations

from mosec import Server, Worker  # type: ignore[import-not-found]

from benchmarks.http.textbook import Best
from benchmarks.peers.work import Classifier, job

JOB = job()
WAIT_MS = 10


class Classify(Worker):  # type: ignore[misc]
    """Worker that takes an image as the raw body and answers in JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = Classifier(JOB)

    def deserialize(self, data: bytes) -> bytes:
        """Return the body, which is the photo."""
        return data

    def forward(self, data: bytes) -> Best:
        """Classify one photo."""
        return self.classifier.answer([self.classifier.prepare(data)])[0]


class ClassifyBatch(Classify):
    """Worker with mosec's batches."""

    def forward(self, data: list[bytes]) -> list[Best]:  # type: ignore[override]
        """Classify several photos."""
        return self.classifier.answer([self.classifier.prepare(photo) for photo in data])


if __name__ == "__main__":
    server = Server()
    if JOB.batch == 1:
        server.append_worker(Classify, num=JOB.workers)
    else:
        server.append_worker(
            ClassifyBatch, num=JOB.workers, max_batch_size=JOB.batch, max_wait_time=WAIT_MS
        )
    server.run()
