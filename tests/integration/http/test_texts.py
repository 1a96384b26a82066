"""Texts over HTTP and gRPC: tokens as the library's, labels, vectors, refusals, the docs' example."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tokenizers import Tokenizer

from schemas.pb import potoo_pb2 as pb
from schemas.preprocess.text import PreparedTextResponse
from schemas.text_answers import ClassifyTextResponse, ClassifyTextsResponse, EmbedResponse
from service.modeltools.sources.built_in import BUNDLED_MODELS, put
from service.preprocess.text.hashing import hashed_vectors
from tests.support.callers.rpc import Client, connected
from tests.support.models.text.embedder import NAME, write_embedder
from tests.support.models.text.tokenizers import DIFFICULT
from tests.support.models.tiny_model import write_model
from tests.support.repository import ROOT
from tests.support.servers.server import PATIENCE, LiveServer, serve
from training.recipes.language.data import normal

GERMAN, PORTUGUESE = (
    (BUNDLED_MODELS / f"language/1/golden/{name}.txt").read_text()
    for name in ("german", "portuguese")
)
SCOPES = "classify preprocess"
PREPARE, CLASSIFY, EMBED = "/v1/preprocess/text", "/v1/classify-text", "/v1/embed"


@pytest.fixture(scope="module")
def text_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with models of text, and one of images."""
    models = tmp_path_factory.mktemp("models")
    put("language", models, lambda _: None, lambda _: None)
    write_embedder(models)
    write_model(models)
    with serve(
        tmp_path_factory.mktemp("server"),
        models=models,
        POTOO_GRPC_PORT="0",
        POTOO_PREPROCESS__MAX_TEXTS="80",
    ) as live:
        yield live


@pytest.fixture(scope="module")
def texts(text_server: LiveServer) -> Iterator[httpx.Client]:
    with text_server.client(SCOPES) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(text_server: LiveServer) -> Iterator[Client]:
    with connected(text_server, SCOPES) as client:
        yield client


@pytest.fixture(scope="module")
def library() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED_MODELS / "language/1/tokenizer.json"))


def send(client: httpx.Client, path: str, body: object, **query: str | int) -> Any:
    """The answer to a request that succeeds."""
    answer = client.post(path, json=body, params={"model": "language", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: httpx.Client, path: str, body: object, **query: str | int) -> tuple[int, str]:
    """Status and code of a request that fails."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    answer = client.post(
        path, content=content, params={"model": "language", **query}, headers=headers
    )
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["code"]


def test_tokens_are_those_of_the_library(texts: httpx.Client, library: Tokenizer) -> None:
    given = [GERMAN, *DIFFICULT.values()]
    answer = PreparedTextResponse.model_validate(
        send(texts, PREPARE, {"texts": given}, offsets=True, padding="none")
    )
    assert answer.model is not None
    assert (answer.model.name, answer.model.version) == ("language", 1)
    assert answer.texts is not None
    for text, found in zip(given, answer.texts, strict=True):
        theirs = library.encode(normal(text))
        assert found.text == normal(text)
        assert found.ids == theirs.ids[:256]
        assert found.tokens == theirs.tokens[:256]
        assert found.offsets == theirs.offsets[:256]
        assert found.truncated == (len(theirs.ids) > 256)


def test_texts_are_padded_to_the_longest(texts: httpx.Client) -> None:
    answer = send(texts, PREPARE, {"texts": [GERMAN, "Ja"]})
    long, short = answer["texts"]
    assert len(long["ids"]) == len(short["ids"]) == len(short["mask"])
    assert sum(long["mask"]) == len(long["ids"])
    assert sum(short["mask"]) < 4
    assert "offsets" not in long
    (cut,) = send(texts, PREPARE, {"text": GERMAN}, max_tokens=5)["texts"]
    assert (cut["ids"], cut["truncated"]) == (long["ids"][:5], True)


def test_hashed_vectors_need_no_model(texts: httpx.Client) -> None:
    query: dict[str, str | int] = {"method": "hash", "dimension": 64, "ngram": "2,3"}
    answer = texts.post(PREPARE, json={"texts": [GERMAN, "é"]}, params=query).json()
    assert answer["model"] is None
    found = np.array(answer["vectors"], np.float32)
    assert np.array_equal(found, hashed_vectors([GERMAN, "é"], 64, 2, 3))


def test_texts_are_classified_and_foreign_ones_are_not(texts: httpx.Client) -> None:
    one = send(texts, CLASSIFY, {"text": PORTUGUESE}, top_k=2)
    ClassifyTextResponse.model_validate(one)
    assert one["summary"]["label"] == "Portuguese"
    assert len(one["predictions"]) == 2
    assert one["calibrated"]
    foreign = "Hava böyle güzel kalırsa yarın trenle denize gideceğiz."
    assert send(texts, CLASSIFY, {"text": foreign})["abstained"]
    assert send(texts, CLASSIFY, {"text": "ok"})["abstained"]


def test_a_bad_text_does_not_affect_the_others(texts: httpx.Client) -> None:
    answer = send(texts, CLASSIFY, {"texts": [GERMAN, "", "x" * 20_001, PORTUGUESE]})
    ClassifyTextsResponse.model_validate(answer)
    found = [
        one["problem"]["code"] if "problem" in one else one["result"]["summary"]["label"]
        for one in answer["results"]
    ]
    assert found == ["German", "invalid_request", "payload_too_large", "Portuguese"]
    alone = send(texts, CLASSIFY, {"text": GERMAN})["predictions"]
    together = answer["results"][0]["result"]["predictions"]
    assert [one["score"] for one in alone] == pytest.approx([one["score"] for one in together])


def test_texts_become_vectors(texts: httpx.Client) -> None:
    answer = send(texts, EMBED, {"texts": ["the sea", "the sea is calm"]}, model=NAME)
    EmbedResponse.model_validate(answer)
    assert answer["dimension"] == 2
    # [CLS] the sea [SEP] are the numbers 2 4 5 3
    assert answer["vectors"] == [[4.0, 3.5], [6.0, pytest.approx((2 + 4 + 5 + 6 + 7 + 3) / 6)]]


def test_requests_that_make_no_sense_are_refused(texts: httpx.Client) -> None:
    assert refused(texts, PREPARE, {}) == (422, "invalid_parameter")
    assert refused(texts, PREPARE, {"text": "a", "texts": ["b"]}) == (422, "invalid_parameter")
    assert refused(texts, PREPARE, {"texts": []}) == (422, "invalid_parameter")
    assert refused(texts, PREPARE, {"texts": [1]}) == (422, "invalid_parameter")
    assert refused(texts, PREPARE, b'{"text": "\\ud800"}') == (422, "invalid_parameter")
    assert refused(texts, PREPARE, b'{"text": "\xff"}') == (422, "invalid_parameter")
    assert refused(texts, PREPARE, {"texts": ["a"] * 81}) == (413, "payload_too_large")
    assert refused(texts, PREPARE, {"text": "a" * 20_001}) == (413, "payload_too_large")
    assert refused(texts, PREPARE, {"text": "a"}, form="NFX") == (422, "invalid_parameter")
    assert refused(texts, PREPARE, {"text": "a"}, model="colours") == (400, "unsupported")
    assert refused(texts, CLASSIFY, {"text": "a"}, model="colours") == (400, "unsupported")
    assert refused(texts, CLASSIFY, {"text": "the"}, model=NAME) == (400, "unsupported")
    assert refused(texts, EMBED, {"text": "a"}) == (400, "unsupported")
    assert refused(texts, CLASSIFY, {"text": ""}) == (400, "invalid_request")
    assert refused(texts, EMBED, {"text": "a"}, model="gone") == (404, "model_not_found")
    assert send(texts, PREPARE, {"text": "still served"})["texts"]


def test_each_path_has_its_scope(text_server: LiveServer) -> None:
    with text_server.client("classify") as client:
        assert refused(client, PREPARE, {"text": "a"}) == (403, "insufficient_scope")
    with text_server.client("preprocess") as client:
        assert refused(client, CLASSIFY, {"text": "a"}) == (403, "insufficient_scope")
        assert refused(client, EMBED, {"text": "a"}) == (403, "insufficient_scope")


def test_grpc_answers_as_http(rpc: Client, texts: httpx.Client) -> None:
    given = [GERMAN, PORTUGUESE]
    over_http = send(texts, PREPARE, {"texts": given}, offsets=True)["texts"]
    prepared = rpc.ask("Text", pb.PrepareTextRequest(texts=given, model="language", offsets=True))
    for http, message in zip(over_http, prepared.texts, strict=True):
        assert list(message.ids) == http["ids"]
        assert list(message.mask) == http["mask"]
        assert list(message.tokens) == http["tokens"]
        offsets = zip(message.starts, message.ends, strict=True)
        assert [list(pair) for pair in offsets] == http["offsets"]
    hashing = pb.Hashing(dimension=32, least=1, most=2)
    hashed = rpc.ask("Text", pb.PrepareTextRequest(texts=given, hashing=hashing)).vectors
    assert (
        np.frombuffer(hashed.data, "<f4").tolist()
        == hashed_vectors(given, 32, 1, 2).ravel().tolist()
    )
    answer = rpc.ask("ClassifyText", pb.ClassifyTextRequest(texts=[*given, ""], model="language"))
    assert [one.summary.label for one in answer.results] == ["German", "Portuguese", ""]
    assert answer.results[2].error.code == "invalid_request"
    vectors = rpc.ask("Embed", pb.EmbedRequest(texts=["the sea"], model=NAME)).vectors
    assert (vectors.datatype, list(vectors.shape)) == ("FP32", [1, 2])
    assert np.frombuffer(vectors.data, "<f4").tolist() == [4.0, 3.5]


def test_example_of_the_documents_runs(text_server: LiveServer, tmp_path: Path) -> None:
    section = (ROOT / "docs/preprocessing.md").read_text().split("\n## Text\n")[1]
    shell = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[1]
    python = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    address = "http://127.0.0.1:8000"
    assert address in shell
    assert address in python
    token, _, calls = shell.partition("\n")
    assert token == "TOKEN=$(potoo token --user admin)"
    environment = os.environ | {"TOKEN": text_server.token(SCOPES)}

    def run(*command: str) -> str:
        return subprocess.run(
            command,
            check=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout

    curl = run("bash", "-ec", calls.replace(address, text_server.url))
    tokens, _, labels = curl.partition("}{")
    assert '"ids"' in tokens
    assert '"French"' in labels
    lines = run(sys.executable, "-c", python.replace(address, text_server.url)).splitlines()
    assert len(lines) == 2
    assert lines[1].replace("|", "").endswith(" oùestlagare?")
