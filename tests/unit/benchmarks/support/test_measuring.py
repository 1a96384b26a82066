"""Statistics of samples, and their output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.http import plots
from benchmarks.http.rounds import RoundFigures
from benchmarks.http.tables import COLUMNS, TITLE_WIDTH, row, table
from benchmarks.peers import tables as peer_tables
from benchmarks.peers.comparison import POTOO, Compared, best_of
from benchmarks.peers.servers import Variant
from benchmarks.support import photo, results
from benchmarks.support.measuring import Samples, ratio

RATES = st.lists(st.floats(1, 1e4), min_size=1, max_size=9)


def samples(*rates: float) -> Samples:
    others = {"cpu_ms": 3.0, "p50_ms": 5.0, "p99_ms": 9.0, "errors": 0.0}
    memory = {"memory_mib": 170.0, "proportional_mib": 140.0, "generator_cores": 0.02}
    return [{"per_second": rate, **others, **memory} for rate in rates]


def measured() -> RoundFigures:
    bare = {"better": samples(800, 810), "textbook": samples(700, 710)}
    found = RoundFigures(bare=bare, server={1: samples(300, 310), 32: samples(600, 640)})
    found.others = {"2 workers": {1: samples(310, 300), 32: samples(0, 0)}}
    found.failed = {"v0.0": "Traceback\nModuleNotFoundError: No module named 'service'"}
    return found


def compared() -> Compared:
    large = f"8 clients, {photo.LARGE_TITLE}"
    kinds = {kind: samples(800, 810) for kind in ("better", "textbook")}
    found = Compared(bare={**kinds, **{f"{kind}, 12 megapixels": kinds[kind] for kind in kinds}})
    found.servers = {
        POTOO: {"32 clients": samples(600, 640), large: samples(100, 110)},
        "mosec, textbook": {"32 clients": samples(500, 500), large: samples(0, 0)},
    }
    found.failed = {"LitServe": "does not install: no such version"}
    return found


@given(rates=RATES, drift=st.lists(st.floats(0.1, 10), min_size=9, max_size=9))
def test_common_drift_does_not_change_a_ratio(rates: list[float], drift: list[float]) -> None:
    reference = samples(*(rate * factor for rate, factor in zip(rates, drift, strict=False)))
    twice = samples(*(2 * rate * factor for rate, factor in zip(rates, drift, strict=False)))
    assert ratio(twice, reference, "per_second") == pytest.approx(2)


def test_ratio_to_an_unanswered_reference_is_missing() -> None:
    assert ratio(samples(5, 7), samples(0, 0), "per_second") is None
    assert ratio(samples(5, 8), samples(0, 4), "per_second") == 2


def test_row_is_aligned_with_its_columns() -> None:
    line = row("server", samples(600, 640, 620), 0.775)
    assert line.split() == ["server", "620.0", "77.5%", "3.00", "5.0", "9.0", "170", "2.0%"]
    assert len(line) == TITLE_WIDTH + len(COLUMNS)


def test_batched_variant_is_chosen_only_if_clearly_faster() -> None:
    single, batches = Variant(2, 1), Variant(2, 1, batch=8)
    assert best_of({single: 100, batches: 104}) is single
    assert best_of({single: 100, batches: 120}) is batches
    assert best_of({Variant(1, 2): 101, single: 100, batches: 90}) == Variant(1, 2)


def test_errors_and_missing_answers_are_shown() -> None:
    failing = samples(600, 640)
    failing[1]["errors"] = 3
    assert row("server", failing, 0.7).endswith("3 ERRORS")
    assert row("server", samples(0, 0), None).endswith("no answer in time")


def test_table_lists_subjects_that_did_not_start() -> None:
    lines = table("everyday", measured(), 2).splitlines()
    assert any(line.startswith("v0.0: ") and "No module named" in line for line in lines)
    assert any(line.startswith("server / 2 workers,  1 clients") for line in lines)


def test_peer_table_shows_the_ratio_to_potoo() -> None:
    lines = peer_tables.table("everyday", compared(), 2).splitlines()
    (peer,) = (line for line in lines if line.startswith("mosec, textbook, 32 clients"))
    assert peer.endswith("1.24x")
    assert "LitServe: does not install: no such version" in lines


def test_peer_table_is_shown_without_potoo() -> None:
    found = compared()
    found.failed[POTOO] = "does not start: no luck"
    del found.servers[POTOO]
    lines = peer_tables.table("everyday", found, 2).splitlines()
    (peer,) = (line for line in lines if line.startswith("mosec, textbook, 32 clients"))
    assert peer.endswith("-")
    assert found.as_json()["potoo_over"] == {
        "mosec, textbook": {"32 clients": None, "8 clients, 12 megapixels": None}
    }


def test_measurements_round_trip_through_json() -> None:
    found = json.loads(json.dumps(measured().as_json(), allow_nan=False))
    assert found["share_of_bare_loop"]["32"] == pytest.approx(0.77, abs=0.01)
    assert found["server_over"]["2 workers"]["32"]["per_second"] is None
    assert found["server_over"]["2 workers"]["1"]["per_second"] == pytest.approx(1, abs=0.01)
    peers = json.loads(json.dumps(compared().as_json(), allow_nan=False))
    assert peers["potoo_over"]["mosec, textbook"]["32 clients"] == pytest.approx(1.24)


def test_plots_are_drawn_from_partial_measurements(tmp_path: Path) -> None:
    plots.server({"everyday": measured(), "other": measured()}, tmp_path / "http.png")
    plots.peers({"everyday": compared()}, tmp_path / "peers.png")
    for name in ("http.png", "peers.png"):
        with Image.open(tmp_path / name) as image:
            colours = image.convert("RGB").getcolors(2**24)
        assert colours is not None
        assert any(colour == (0, 0x72, 0xB2) for _, colour in colours), "Potoo's blue is missing"


def test_empty_measurements_draw_no_plot(tmp_path: Path) -> None:
    plots.server({}, tmp_path / "http.png")
    plots.peers({"everyday": Compared(failed={POTOO: "does not start"})}, tmp_path / "peers.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_results_never_overwrite_earlier_files(tmp_path: Path) -> None:
    paths = [results.write("http", {"number": number}, tmp_path) for number in range(3)]
    assert [json.loads(path.read_text())["number"] for path in paths] == [0, 1, 2]
    assert sorted(tmp_path.glob("*-http*.json")) == sorted(paths)
    assert {"when", "commit", "machine", "photo"} <= json.loads(paths[0].read_text()).keys()
