"""LitServe, as its examples are written: decode, predict, encode, in batches or one by one."""

# LitServe hands the annotation of decode_request to FastAPI as it stands: it must be no string,
# so "from __future__ import annotations" is left out here.
from typing import Annotated

import litserve  # type: ignore[import-not-found]
from fastapi import Body

from benchmarks.http.textbook import Best, Images
from benchmarks.peers.work import Classifier, job

WAIT_SECONDS = 0.01
Photo = Annotated[bytes, Body(media_type="image/jpeg")]


class Classify(litserve.LitAPI):  # type: ignore[misc]
    """API that takes an image as the raw body and answers in JSON."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load the classifier, once in every worker process."""
        self.classifier = Classifier(job())

    def decode_request(self, request: Photo) -> Images:
        """Convert a body to a tensor."""
        return self.classifier.prepare(request)

    def predict(self, x: Images) -> Best:
        """Classify one photo."""
        return self.classifier.answer([x])[0]

    def encode_response(self, output: Best) -> Best:
        """Return the answer, which is JSON already."""
        return output


class ClassifyBatch(Classify):
    """API with LitServe's batches."""

    def batch(self, inputs: list[Images]) -> list[Images]:
        """Return the tensors, which the classifier stacks."""
        return inputs

    def predict(self, x: list[Images]) -> list[Best]:  # type: ignore[override]
        """Classify several photos."""
        return self.classifier.answer(x)

    def unbatch(self, output: list[Best]) -> list[Best]:
        """Return the answers, which are separate already."""
        return output


if __name__ == "__main__":
    given = job()
    if given.batch == 1:
        api = Classify()
    else:
        api = ClassifyBatch(max_batch_size=given.batch, batch_timeout=WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=given.workers)
    server.run(host="127.0.0.1", port=given.port, generate_client_file=False)
