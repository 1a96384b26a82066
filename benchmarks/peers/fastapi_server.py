"""FastAPI, as tutorials write it: a plain function, which runs on FastAPI's thread pool."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI

from benchmarks.http.textbook import Best
from benchmarks.peers.work import Classifier, job

app = FastAPI()
classifier = Classifier(job())


@app.post("/predict")
def predict(photo: Annotated[bytes, Body(media_type="image/jpeg")]) -> Best:
    """Classify one photo."""
    return classifier.answer([classifier.prepare(photo)])[0]
