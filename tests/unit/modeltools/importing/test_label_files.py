"""Label files in all supported formats, and errors of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.modeltools.importing.graph_facts import CannotImport
from service.modeltools.importing.label_files import MAX_BYTES, read_label_file
from tests.support.models.tiny_model import LABELS
from tests.support.suite.examples import examples

KERAS = {"0": ["n01", "red"], "1": ["n02", "green"], "2": ["n03", "blue"]}
BY_INDEX = {"0": "red", "1": "green", "2": "blue"}
SHUFFLED = {"2": "blue", "0": "red", "1": "green"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "red\ngreen\nblue\n"),
        ("labels.txt", "\ufeffred\r\n green \r\nblue\r\n\r\n"),
        ("labels.json", json.dumps(LABELS)),
        ("labels.json", json.dumps(BY_INDEX)),
        ("labels.json", json.dumps(SHUFFLED)),
        ("imagenet_class_index.json", json.dumps(KERAS)),
        ("config.json", json.dumps({"id2label": BY_INDEX, "label2id": {"red": 0}, "x": [1]})),
        ("download.part", json.dumps({"id2label": BY_INDEX})),
        ("labels.csv", "index,label\n0,red\n1,green\n2,blue\n"),
        ("labels.csv", "Label,Index\nblue,2\nred,0\ngreen,1\n"),
        ("labels.csv", "name,wnid\nred,n01\ngreen,n02\nblue,n03"),
        ("labels.csv", '\ufeff"index","name","label"\r\n0,a,red\r\n1,b,"green"\r\n2,c,blue\r\n'),
        ("download.part", "index,label\n0,red\n1,green\n2,blue\n"),
    ],
)
def test_labels_are_read_from_every_supported_format(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    found = read_label_file(tmp_path / name)
    assert (found.labels, found.notes) == (LABELS, ())


def test_labels_may_contain_commas(tmp_path: Path) -> None:
    for name, text in (
        ("labels.txt", "tench, Tinca tinca\ngoldfish\n"),
        ("labels.csv", 'label\n"tench, Tinca tinca"\ngoldfish\n'),
    ):
        (tmp_path / name).write_text(text)
        assert read_label_file(tmp_path / name).labels == ("tench, Tinca tinca", "goldfish")


def test_duplicate_labels_are_noted(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("crane\nmaillot\ncrane\nmaillot\nred\n")
    found = read_label_file(file)
    assert len(found.labels) == 5
    assert found.notes == ("Several outputs have the same label: 'crane', 'maillot'.",)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labels.txt", b"", "a label a line"),
        ("labels.txt", b"\n\n", "a label a line"),
        ("labels.txt", b"red\n\nblue\n", "no empty lines"),
        ("labels.txt", b"\xff\n", "no UTF-8 text"),
        ("labels.txt", "red\n".encode("utf-16"), "no UTF-8 text"),
        ("labels.txt", b"red\ngre\0en\n", "index 1 has characters that cannot be printed"),
        ("labels.txt", b"a\n" * (MAX_BYTES // 2 + 1), "larger than the 4 MiB of labels"),
        ("labels.txt", b"{0: 'tench',\n 1: 'goldfish'}", "begins like JSON and is none"),
        ("labels.json", b"", "begins like JSON and is none"),
        ("labels.json", b"red", "begins like JSON and is none"),
        ("labels.json", b"[" * 100_000, "begins like JSON and is none"),
        ("labels.json", b"3", "a list of labels, or an object"),
        ("labels.json", b"[]", "no labels"),
        ("labels.json", b"{}", "no labels"),
        ("labels.json", b'["red", 2]', "index 1 is no text"),
        ("labels.json", b'["red", ""]', "index 1 is empty"),
        ("labels.json", b'["red", "gr\\neen"]', "cannot be printed"),
        ("labels.json", b'{"0": "red", "2": "blue"}', "index 1 is missing"),
        ("labels.json", b'{"1": "red", "2": "blue"}', "index 0 is missing; they count from 0"),
        ("labels.json", b'{"0": "red", "0": "blue"}', "index 0 is there twice"),
        ("labels.json", b'{"0": "red", "00": "blue"}', "index 00 is there twice"),
        ("labels.json", b'{"0": "red", "-1": "blue"}', "index -1 is negative"),
        ("labels.json", b'{"red": 0}', "index red is no text"),
        ("labels.json", b'{"red": "0"}', "'red' is no index"),
        ("labels.json", b'{"' + b"9" * 5000 + b'": "red"}', "99... .* no index|no index"),
        ("labels.json", b'{"0": ["n01", "red", "more"]}', "index 0 is no text"),
        ("labels.json", b'{"0": {"a": 1, "b": "red"}}', "index 0 is no text"),
        ("config.json", b'{"id2label": ["red"]}', "id2label must be an object"),
        ("config.json", b'{"model_type": "vit"}', "'model_type' is no index"),
        ("labels.csv", b"", "first line must name|no CSV"),
        ("labels.csv", b"0,red\n1,green\n", "first line must name its columns"),
        ("labels.csv", b"index,label\n", "no labels"),
        ("labels.csv", b"index,label\n0,red\n2,blue\n", "index 1 is missing"),
        ("labels.csv", b"index,label\n0,red\n0,blue\n", "index 0 is there twice"),
        ("labels.csv", b"index,label\n0,red\n-1,blue\n", "index -1 is negative"),
        ("labels.csv", b"index,label\n0,red\n1.0,blue\n", "'1.0' is no index"),
        ("labels.csv", b"index,label\n0,red\n1\n", "row 2 has 1 fields"),
        ("labels.csv", b'index,label\n0,"red\n', "no CSV"),
        ("labels.csv", b"index,label\n0,red\n\n1,blue\n", "row 2 has 0 fields"),
    ],
)
def test_faulty_label_file_is_reported_in_one_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotImport, match=says) as caught:
        read_label_file(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_missing_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match=r"nowhere\.txt: No such file"):
        read_label_file(tmp_path / "nowhere.txt")
    with pytest.raises(CannotImport, match="Is a directory"):
        read_label_file(tmp_path)


@examples(300)
@given(
    name=st.sampled_from(["labels.txt", "labels.json", "labels.csv"]),
    content=st.binary(max_size=60)
    | st.text(alphabet='[]{}":,\n\r01-a\\u\0 ', max_size=60).map(str.encode)
    | st.text(alphabet='01-,"\n\ra', max_size=40).map(lambda text: f"index,label\n{text}".encode()),
)
def test_arbitrary_bytes_are_labels_or_one_line_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    labels: tuple[str, ...] = ("-",)
    said = ""
    try:
        labels = read_label_file(file).labels
    except CannotImport as error:
        said = str(error)
    assert labels
    assert all(label.strip() and label.isprintable() for label in labels)
    assert len(said.splitlines()) <= 1
