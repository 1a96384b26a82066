"""The shipped catalogue, the operator's catalogue, and mirrors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.modeltools.importing.presets import PRESETS
from service.modeltools.sources.catalogue import (
    CatalogueEntry,
    find_entry,
    mirrored,
    read_catalogue,
    shipped,
)
from service.modeltools.sources.model_sources import CannotPull

COMMIT = "b1eeaa1ac722dcc1cd1a8284bde34393dab61c3d"
FOLDER = f"https://github.com/onnx/models/raw/{COMMIT}/validated/vision/classification/"
DIGEST = "0" * 64
SMALL = CatalogueEntry(url="https://models.example/small.onnx", sha256=DIGEST, like="0-1")
FACTS = {
    "mobilenetv2": (13_964_571, "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5"),
    "mobilenetv2-int8": (
        3_655_033,
        "cc028fe6cae7bc11a4ff53cfc9b79c920e8be65ce33a904ec3e2a8f66d77f95f",
    ),
    "shufflenetv2": (9_218_556, "ea69821b4dd374ae2f33f9710dd1229ac263d0ee5b5a46ca3521f6483e1ba035"),
    "squeezenet1.1": (
        4_956_208,
        "1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088",
    ),
    "efficientnet-lite4": (
        51_946_641,
        "d111689907c06eea7c82e4833ddef758da6453b9d4cf60b7e99ca05c7cbd9c12",
    ),
    "efficientnet-lite4-int8": (
        13_585_963,
        "2b3cbb5077262b20df565dacddecb3724c0976c35029a87e512d13aa4eff04a2",
    ),
    "resnet18": (46_806_737, "3b4d048057854022232aa20bf68262e31718ab7119a17f920b8a2dc1433f824b"),
    "resnet50": (102_442_452, "79102261eb6e5fd7af5d27f41316293e388c5cb691e5d25bfb035c4f64fefe31"),
    "resnet50-int8": (
        25_816_052,
        "c234f30975989788b4405f25253275aae247ab6dbdd34aaa69ab0a59ff76f6d0",
    ),
}


def test_nine_shipped_models_have_their_known_digests() -> None:
    assert {name: (entry.bytes, entry.sha256) for name, entry in shipped().items()} == FACTS


@pytest.mark.parametrize("name", FACTS)
def test_shipped_entry_is_complete(name: str) -> None:
    entry = shipped()[name]
    assert re.fullmatch(re.escape(FOLDER) + r"[\w./-]+\.onnx", entry.url)
    assert entry.like in PRESETS
    assert (entry.labels, entry.licence) == ("imagenet", "Apache-2.0")
    assert entry.description
    assert entry.input.startswith("224x224 RGB")
    assert (entry.like == "efficientnet-lite") == name.startswith("efficientnet-lite")


def test_efficientnet_lite_preset_is_centred_at_zero() -> None:
    preset = PRESETS["efficientnet-lite"]
    ((mean,), (std,)) = preset.mean, preset.std
    assert [(pixel * preset.scale - mean) / std for pixel in (0, 127, 255)] == [-127 / 128, 0, 1]


def test_own_entry_overrides_a_shipped_one() -> None:
    own = {"mobilenetv2": SMALL}
    assert find_entry("mobilenetv2", own, None) == (SMALL, SMALL.url)
    assert find_entry("resnet18", own, None) == (shipped()["resnet18"], shipped()["resnet18"].url)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilnetv2", r" \(did you mean mobilenetv2\?\)"),
        ("smal", r" \(did you mean small\?\)"),
        ("xyz", ""),
    ],
)
def test_unknown_name_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(CannotPull, match=rf"'{name}' is no URL and in no catalogue{hint}: see"):
        find_entry(name, {"small": SMALL}, None)


@pytest.mark.parametrize(
    "mirror", ["https://mirror.example/onnx", "https://mirror.example/onnx/", "http://127.0.0.1:9"]
)
def test_mirror_keeps_the_path_and_spares_own_entries(mirror: str) -> None:
    entry, address = find_entry("mobilenetv2", {"small": SMALL}, mirror)
    assert entry == shipped()["mobilenetv2"]
    path = f"/onnx/models/raw/{COMMIT}/validated/vision/classification/mobilenet/model/"
    assert address == f"{mirror.rstrip('/')}{path}mobilenetv2-12.onnx"
    assert find_entry("small", {"small": SMALL}, mirror) == (SMALL, SMALL.url)


def test_remote_mirror_without_tls_is_refused() -> None:
    with pytest.raises(CannotPull, match="cannot be pulled from"):
        mirrored(SMALL.url, "http://mirror.example")


def test_an_own_catalogue_is_read(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps({"small": SMALL.model_dump(exclude_defaults=True)}))
    assert read_catalogue(file) == {"small": SMALL}
    assert read_catalogue(tmp_path / "none.json", may_be_missing=True) == {}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"url": "https://a.example/m"}, r"small\.sha256: Field required"),
        ({"url": "https://a.example/m", "sha256": "abc"}, r"small\.sha256: "),
        ({"url": "https://a.example/m", "sha256": DIGEST, "bytes": 0}, r"small\.bytes: "),
        ({"url": "https://a.example/m", "sha256": DIGEST, "licens": "MIT"}, r"small\.licens: "),
        (
            {
                "url": "https://a.example/m",
                "sha256": DIGEST,
                "labels": "imagenet",
                "labels_url": "x",
            },
            "labels and labels_url exclude each other",
        ),
    ],
)
def test_faulty_own_catalogue_is_refused_naming_the_field(
    tmp_path: Path, entry: dict[str, object], message: str
) -> None:
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps({"small": entry}))
    with pytest.raises(CannotPull, match=message):
        read_catalogue(file)


def test_missing_own_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotPull, match="there is no catalogue"):
        read_catalogue(tmp_path / "none.json")
    with pytest.raises(CannotPull, match="cannot be read"):
        read_catalogue(tmp_path)
