"""Rows of numbers and scalers of a running server, over HTTP and gRPC."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from schemas.pb import potoo_pb2 as pb
from service.preprocess.numeric.writing import csv_text
from tests.support.callers.rpc import Client, connected
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve

SCOPE = "preprocess models:read models:write classify"
NAMES = ("age", "fare", "class")
NUMERIC = "/v1/preprocess/numeric"
CSV, NPY = {"content-type": "text/csv"}, {"content-type": "application/x-npy"}
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


@pytest.fixture(scope="module")
def table() -> NDArray[np.float64]:
    """80 rows of three columns, with holes in the first."""
    random = np.random.default_rng(7)
    values_NC = random.normal([30, 1e9, 2], [14, 1, 0.1], (80, 3))
    values_NC[::9, 0] = np.nan
    return values_NC


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("numbers")
    write_model(folder / "models")
    with serve(
        folder,
        models=folder / "models",
        arguments=("--grpc-port", "0"),
        POTOO_PREPROCESS__MAX_ROWS="5000",
        POTOO_PREPROCESS__MAX_COLUMNS="16",
        POTOO_LIMITS__MAX_DECOMPRESSED_BYTES=str(2**20),
    ) as live:
        yield live


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(SCOPE) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, SCOPE) as client:
        yield client


@pytest.fixture(scope="module")
def passengers(client: httpx.Client, table: NDArray[np.float64]) -> str:
    """A standard scaler that imputes by the mean, of eight workers' sums; its second version."""
    sums = []
    for part in np.array_split(table, 8):
        answer = client.post("/v1/scalers/sums", content=csv_text(part, NAMES), headers=CSV)
        sums.append(answer.raise_for_status().json())
    for kind in ("min-max", "standard"):
        made = client.post(
            "/v1/scalers/passengers", json={"kind": kind, "impute": "mean", "sums": sums[::-1]}
        )
        assert made.status_code == 201, made.text
    assert made.json()["versions"] == [1, 2]
    return "passengers"


def npy(values: NDArray[np.float64]) -> bytes:
    file = BytesIO()
    np.save(file, values)
    return file.getvalue()


def numbers(rows: Any) -> NDArray[np.float64]:
    return np.array(rows, np.float64)


def standard(table: NDArray[np.float64]) -> NDArray[np.float64]:
    filled = SimpleImputer().fit_transform(table)
    found: NDArray[np.float64] = StandardScaler().fit(table).transform(filled)
    return found


def test_a_scaler_of_eight_workers_equals_scikit_learn(
    client: httpx.Client, table: NDArray[np.float64], passengers: str
) -> None:
    answer = client.post(
        NUMERIC, params={"scaler": passengers}, content=csv_text(table, NAMES), headers=CSV
    )
    body = answer.raise_for_status().json()
    assert body["scaler"] == {"name": "passengers", "version": 2}
    assert body["columns"] == list(NAMES)
    assert (body["nan_counts"], body["imputed_counts"]) == ([9, 0, 0], [9, 0, 0])
    found = numbers(body["rows"])
    np.testing.assert_allclose(found[:, ::2], standard(table)[:, ::2], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found[:, 1], standard(table)[:, 1], atol=2e-7)  # its own rounding


def test_every_form_of_rows_gives_the_same_answer(
    client: httpx.Client, table: NDArray[np.float64], passengers: str
) -> None:
    query = {"scaler": f"{passengers}@2"}
    shown = [[None if np.isnan(one) else one for one in row] for row in table.tolist()]
    texts = csv_text(table, NAMES)
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (json.dumps({"rows": shown}).encode(), {"content-type": "application/json"}),
        (texts.encode(), CSV),
        (gzip.compress(texts.encode()), {**CSV, "content-encoding": "gzip"}),
        (npy(table), NPY),
    ]
    found = [
        client.post(NUMERIC, params=query, content=body, headers=headers).raise_for_status()
        for body, headers in bodies
    ]
    first = found[0].json()["rows"]
    assert all(one.json()["rows"] == first for one in found)
    file = client.post(
        NUMERIC, params=query, content=npy(table), headers={**NPY, "accept": "application/x-npy"}
    )
    np.testing.assert_array_equal(np.load(BytesIO(file.content)), numbers(first))
    assert file.headers["potoo-scaler"] == "passengers@2"
    assert (file.headers["potoo-nan"], file.headers["potoo-imputed"]) == ("9", "9")
    written = client.post(
        NUMERIC, params=query, content=texts, headers={**CSV, "accept": "text/csv"}
    )
    assert written.text == csv_text(numbers(first), NAMES)


def test_arrow_streams_are_taken_and_answered(
    client: httpx.Client, table: NDArray[np.float64], passengers: str
) -> None:
    pytest.importorskip("nanoarrow")
    from service.preprocess.numeric.arrow_rows import arrow_stream, read_arrow
    from service.preprocess.numeric.rows import RowLimits

    answer = client.post(
        NUMERIC,
        params={"scaler": passengers},
        content=arrow_stream(table, NAMES),
        headers={**ARROW, "accept": ARROW["content-type"]},
    )
    rows = read_arrow(answer.raise_for_status().content, RowLimits(100, 3, 64))
    assert rows.columns == NAMES
    np.testing.assert_allclose(rows.values_NC[:, 0], standard(table)[:, 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "other"),
    [("standardise", StandardScaler), ("min-max", MinMaxScaler), ("robust", RobustScaler)],
)
def test_statistics_of_the_rows_equal_scikit_learn(
    client: httpx.Client, table: NDArray[np.float64], method: str, other: Any
) -> None:
    narrow = table[:, [0, 2]]
    body = client.post(
        NUMERIC, params={"method": method}, content=npy(narrow), headers=NPY
    ).json()
    expected = other().fit_transform(narrow)
    np.testing.assert_allclose(numbers(body["rows"]), expected, rtol=1e-12, atol=1e-12)
    given = {"offset": body["offset"], "scale": body["scale"]}
    query = {name: ",".join(map(repr, each)) for name, each in given.items()}
    again = client.post(
        NUMERIC, params={"method": method, **query}, content=npy(narrow), headers=NPY
    )
    assert again.json()["rows"] == body["rows"]


def test_windows_of_a_series(client: httpx.Client) -> None:
    values = np.arange(10.0)[:, None]
    body = client.post(
        NUMERIC, params={"window": 4, "stride": 3}, content=npy(values), headers=NPY
    ).json()
    assert [[one[0] for one in window] for window in body["windows"]] == [
        [0, 1, 2, 3],
        [3, 4, 5, 6],
        [6, 7, 8, 9],
    ]
    assert body["rows"] is None


@pytest.mark.parametrize(
    ("query", "body", "headers", "status", "code", "detail"),
    [
        ({}, "a,b\n1,2\n3,x\n", CSV, 422, "invalid_parameter", "Row 2, column 'b'"),
        ({}, "1,2\n3\n", CSV, 422, "invalid_parameter", "Row 2 has 1 cells, not 2"),
        ({}, '{"rows": [[1, 1e999]]}', {"content-type": "application/json"}, 400, "invalid_request", ""),
        ({}, "1\n" * 5001, CSV, 413, "payload_too_large", "5000 rows"),
        ({}, "1" + ",1" * 16, CSV, 413, "payload_too_large", "16 columns"),
        ({}, "9" * 257, CSV, 413, "payload_too_large", "longer than"),
        ({}, "x", {"content-type": "text/plain"}, 415, "unsupported_media_type", "text/csv"),
        ({"method": "standardise"}, "1\n1e308\n", CSV, 422, "invalid_parameter", "Row 2, column 1"),
        ({"method": "none"}, "1\n", CSV, 422, "invalid_parameter", ""),
        ({"method": "robust", "scaler": "a"}, "1\n", CSV, 422, "invalid_parameter", ""),
        ({"method": "robust", "offset": "1"}, "1\n", CSV, 422, "invalid_parameter", ""),
        ({"scaler": "absent"}, "1\n", CSV, 404, "model_not_found", ""),
        ({"scaler": "passengers@9"}, "1\n", CSV, 404, "model_not_found", ""),
        ({"scaler": "passengers@0"}, "1\n", CSV, 422, "invalid_parameter", ""),
        ({"scaler": "passengers"}, "1,2\n", CSV, 422, "invalid_parameter", "has 3"),
        ({"scaler": "passengers"}, "age,class,fare\n1,2,3\n", CSV, 422, "invalid_parameter", "Column 2 is 'class'"),
        ({"window": "9"}, "1\n", CSV, 422, "invalid_parameter", "A window has 9 rows"),
        ({"stride": "9"}, "1\n", CSV, 422, "invalid_parameter", ""),
    ],
)
@pytest.mark.usefixtures("passengers")
def test_rows_that_are_refused(
    client: httpx.Client,
    query: dict[str, str],
    body: str,
    headers: dict[str, str],
    status: int,
    code: str,
    detail: str,
) -> None:
    refused = client.post(NUMERIC, params=query, content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert detail in refused.text


def test_a_model_that_is_no_scaler_is_refused(client: httpx.Client) -> None:
    refused = client.post(NUMERIC, params={"scaler": "colours"}, content="1\n", headers=CSV)
    assert refused.json()["code"] == "unsupported"


def test_a_bomb_is_refused(client: httpx.Client) -> None:
    bomb = gzip.compress(b"1\n" * 5_000_000)
    refused = client.post(NUMERIC, content=bomb, headers={**CSV, "content-encoding": "gzip"})
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")


def test_scalers_are_listed_described_and_rolled_back(
    client: httpx.Client, table: NDArray[np.float64], passengers: str
) -> None:
    (listed,) = client.get("/v1/scalers").json()["scalers"]
    assert listed == client.get(f"/v1/scalers/{passengers}").json()
    assert (listed["version"], listed["kind"], listed["impute"]) == (2, "standard", "mean")
    assert listed["rows"] == 80
    assert [column["name"] for column in listed["columns"]] == list(NAMES)
    assert listed["columns"][0]["fill"] == pytest.approx(np.nanmean(table[:, 0]))
    old = client.get(f"/v1/scalers/{passengers}", params={"version": 1}).json()
    assert (old["version"], old["kind"]) == (1, "min-max")
    assert client.get("/v1/scalers/colours").status_code == 404
    info = client.get(f"/v1/models/{passengers}").json()
    assert (info["input_kind"], info["output"]["kind"]) == ("numeric", "values")
    path = f"/v1/models/{passengers}/versions"
    client.post(f"{path}/1/promote").raise_for_status()
    assert client.get(f"/v1/scalers/{passengers}").json()["version"] == 1
    client.post(f"/v1/models/{passengers}/rollback").raise_for_status()
    assert client.get(f"/v1/scalers/{passengers}").json()["version"] == 2


@pytest.mark.parametrize(
    ("name", "change", "status", "detail"),
    [
        ("colours", {}, 409, "no scaler"),
        ("other", {"sums": []}, 422, "/body/sums"),
        ("other", {"kind": "robust"}, 409, "distinct"),
        ("other", {"more": 1}, 422, "/body/more"),
        ("no name", {}, 422, "/path/name"),
    ],
)
def test_scalers_that_are_refused(
    client: httpx.Client, name: str, change: dict[str, Any], status: int, detail: str
) -> None:
    sums = client.post(
        "/v1/scalers/sums", params={"distinct": "false"}, content="1\n2\n", headers=CSV
    ).json()
    refused = client.post(f"/v1/scalers/{name}", json={"sums": [sums], **change})
    assert (refused.status_code, detail in refused.text) == (status, True), refused.text
    assert client.get("/v1/scalers/other").status_code == 404


def test_scopes_are_needed(server: LiveServer) -> None:
    with server.client("classify") as stranger, server.client("preprocess") as reader:
        assert stranger.post(NUMERIC, content="1\n", headers=CSV).status_code == 403
        assert stranger.get("/v1/scalers").status_code == 403
        refused = reader.post("/v1/scalers/mine", json={"sums": []})
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_rpc_gives_the_same_numbers(
    rpc: Client, client: httpx.Client, table: NDArray[np.float64], passengers: str
) -> None:
    rows = pb.Rows(values=table.astype("<f8").tobytes(), columns=3, column_names=NAMES)
    answer = rpc.ask("Numeric", pb.PrepareNumericRequest(rows=rows, scaler=passengers))
    found = np.frombuffer(answer.tensor.data, "<f8").reshape(answer.tensor.shape)
    body = client.post(
        NUMERIC, params={"scaler": passengers}, content=npy(table), headers=NPY
    ).json()
    np.testing.assert_array_equal(found, numbers(body["rows"]))
    assert (answer.scaler, answer.scaler_version) == ("passengers", 2)
    assert list(answer.imputed_counts) == [9, 0, 0]
    windows = rpc.ask(
        "Numeric",
        pb.PrepareNumericRequest(csv=b"1\n2\n4\n", method="STANDARDISE", window=2, stride=1),
    )
    assert list(windows.tensor.shape) == [2, 2, 1]
    assert list(windows.scaling.offset) == pytest.approx([7 / 3])


@pytest.mark.parametrize(
    "request_",
    [
        pb.PrepareNumericRequest(),
        pb.PrepareNumericRequest(csv=b"x\n"),
        pb.PrepareNumericRequest(rows=pb.Rows(values=bytes(12), columns=1)),
        pb.PrepareNumericRequest(rows=pb.Rows(values=bytes(16), columns=2, column_names=["a"])),
        pb.PrepareNumericRequest(csv=b"1\n", impute="MEAN"),
        pb.PrepareNumericRequest(csv=b"1\n", window=0),
        pb.PrepareNumericRequest(csv=b"1\n", scaler="a b"),
        pb.PrepareNumericRequest(csv=b"1\n", method="ROBUST", scaling=pb.Scaling(offset=[1, 2], scale=[1, 1])),
        pb.PrepareNumericRequest(csv=b"1\n", method="ROBUST", scaling=pb.Scaling(offset=[np.inf], scale=[1])),
        pb.PrepareNumericRequest(csv=b"1\n", method="ROBUST", scaler="a"),
    ],
)
def test_messages_that_are_refused(rpc: Client, request_: pb.PrepareNumericRequest) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        rpc.ask("Numeric", request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_numeric_item_of_many(client: httpx.Client, passengers: str) -> None:
    lines = [
        {"id": 1, "numeric": {"rows": [[1], [3]], "method": "standardise"}},
        {"id": 2, "numeric": {"rows": [[None, 1, 2]], "scaler": passengers}},
        {"id": 3, "numeric": {"rows": [["x"]]}},
        {"id": 4, "numeric": {"rows": [[1]], "scaler": "absent"}},
    ]
    answer = client.post(
        "/v1/preprocess",
        content="\n".join(map(json.dumps, lines)),
        headers={"content-type": "application/x-ndjson"},
    )
    first, second, third, fourth = map(json.loads, answer.text.splitlines())
    assert first["result"]["rows"] == [[-1], [1]]
    assert second["result"]["rows"][0][0] == 0
    assert second["result"]["scaler"] == {"name": "passengers", "version": 2}
    assert third["error"]["errors"][0]["pointer"] == "/numeric/rows/0/0"
    assert fourth["error"]["code"] == "model_not_found"
