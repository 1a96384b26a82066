"""Multipart forms of clients and attackers."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from observability.logs.logging import configure_logging
from observability.settings import ObservabilitySettings
from schemas.errors import InvalidRequest, PayloadTooLarge
from service.transport.http.body.multipart import Part, parse_form
from service.transport.http.middleware.media_type import parse_media_type
from tests.support.suite.examples import examples

TYPE = "multipart/form-data; boundary=b"
FILE = b'Content-Disposition: form-data; name="file"; filename="a.png"'
END = b"--b--\r\n"


def part(headers: bytes = FILE, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def parse(
    body: bytes, content_type: str = TYPE, *, max_parts: int = 8, max_file_name_chars: int = 255
) -> list[Part]:
    return parse_form(
        parse_media_type(content_type),
        body,
        max_parts=max_parts,
        max_file_name_chars=max_file_name_chars,
    )


def test_parts_are_returned_in_order_with_names() -> None:
    text = b'Content-Disposition: form-data; name="note"'
    found = parse(part(FILE, b"one") + part(text, b"") + part(FILE, b"two\r\n") + END)
    assert found == [
        Part("file", "a.png", b"one"),
        Part("note", None, b""),
        Part("file", "a.png", b"two\r\n"),
    ]


FINE = {
    "no line end after the last boundary": part() + b"--b--",
    "epilogue": part() + END + b"whatever follows is not ours",
    "empty line first": b"\r\n" + part() + END,
    "preamble": b"This is a multi-part message in MIME format.\r\n" + part() + END,
    "preamble of many lines": b"-- \r\n\r\n--bb\r\n-b\r\n--b.\r\n\r\n" + part() + END,
    "preamble with the boundary": b"x--b\r\n --b\r\n--b\n--b x\r\n" + part() + END,
    "long preamble": b"- \r\n" * 100_000 + part() + END,
    "padding after the first boundary": part().replace(b"--b\r\n", b"--b \t \r\n") + END,
    "padding after the last boundary": part() + b"--b-- \t\r\n",
    "padding and preamble": b"x\r\n" + part().replace(b"--b\r\n", b"--b \r\n") + b"--b--  ",
    "further headers": part(b"Content-Type: image/png\r\n" + FILE + b"\r\nX-Y: z") + END,
    "other case": part(b'CONTENT-DISPOSITION: Form-Data; NAME="file"; FileName="a.png"') + END,
    "no quotes": part(b"Content-Disposition: form-data; name=file; filename=a.png") + END,
    "windows path": part(rb'Content-Disposition: form-data; name="file"; filename="C:\\x\\a.png"') + END,
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_client_variations_are_accepted(name: str) -> None:
    assert parse(FINE[name]) == [Part("file", "a.png", b"x")]


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="b"',
        "multipart/form-data; BOUNDARY=b",
        "multipart/form-data; charset=utf-8; boundary=b",
        "Multipart/Form-Data;boundary=b",
    ],
)
def test_the_boundary_is_found(content_type: str) -> None:
    assert len(parse(part() + END, content_type)) == 1


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("ä€🐦.png".encode(), "ä€🐦.png"),
        (b"\xff.png", "\ufffd.png"),
        (rb"a\"b.png", 'a"b.png'),
        (b"a%22b.png", "a%22b.png"),
        (b"../../etc/passwd", "../../etc/passwd"),
        (b"", ""),
    ],
)
def test_file_names_are_decoded_as_text(raw: bytes, name: str) -> None:
    header = b'Content-Disposition: form-data; name="file"; filename="' + raw + b'"'
    assert parse(part(header) + END)[0].file_name == name


def test_content_is_returned_unchanged() -> None:
    for content in (b"", b"\r\n", b"--b", b"\r\n--a\r\n--bb--", b"\0" * 100, b"--b--"):
        assert parse(part(FILE, content) + END)[0].content == content
    nested = part(FILE + b"\r\nContent-Type: multipart/mixed; boundary=c", b"--c\r\n\r\nx\r\n--c--")
    assert parse(nested + END)[0].content == b"--c\r\n\r\nx\r\n--c--"
    encoded = part(FILE + b"\r\nContent-Transfer-Encoding: base64", b"aGk=")
    assert parse(encoded + END)[0].content == b"aGk="


@pytest.mark.parametrize("padding", [b" ", b"\t", b" \t  "])
def test_padding_between_parts_is_ignored(padding: bytes) -> None:
    body = part(content=b"one") + part(content=b"two") + END
    padded = body.replace(b"--b\r\n", b"--b" + padding + b"\r\n")
    assert padded.count(padding + b"\r\n") == 2
    assert [one.content for one in parse(padded)] == [b"one", b"two"]


def test_form_without_parts_is_empty() -> None:
    for preamble in (b"", b"\r\n"):
        assert parse(preamble + END) == []


BAD = {
    "empty": b"",
    "line ends of Unix": (part() + END).replace(b"\r\n", b"\n"),
    "preamble of Unix": b"This is a message with multiple parts in MIME format.\n" + part() + END,
    "preamble without parts": b"This is a message with multiple parts in MIME format.\r\n" + END,
    "only a preamble": b"This is a message with multiple parts in MIME format.\r\n",
    "no end": part(),
    "truncated in the last boundary": (part() + END)[:-6],
    "truncated before the last dash": (part() + END)[:-3],
    "truncated in the content": part()[:-3],
    "truncated in a header": part()[:20],
    "no headers": b"--b\r\n\r\nx\r\n" + END,
    "no name": part(b"Content-Disposition: form-data") + END,
    "no disposition": part(b"Content-Type: image/png") + END,
    "another disposition": part(b'Content-Disposition: attachment; name="file"') + END,
    "two dispositions": part(FILE + b"\r\n" + FILE) + END,
    "two other dispositions": part(FILE + b'\r\ncontent-disposition: form-data; name="x"') + END,
    "space before the colon": part(b'Content-Disposition : form-data; name="file"') + END,
    "folded header": part(b'Content-Disposition: form-data;\r\n name="file"') + END,
    "no colon": part(b"Content-Disposition form-data") + END,
    "another boundary": part().replace(b"--b", b"--c") + END,
    "huge header": part(FILE + b"\r\nX: " + b"x" * 10**6) + END,
    "many headers": part(FILE + b"".join(b"\r\nX%d: x" % n for n in range(1000))) + END,
    "huge name": part(b'Content-Disposition: form-data; name="' + b"n" * 10**5 + b'"') + END,
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(BAD[name])


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 5000,
        "multipart/form-data; boundary=b; boundary=c",
        "multipart/form-data; boundary=\xe9",
        "multipart/form-data; boundary",
    ],
)
def test_missing_or_invalid_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(part() + END, content_type)


def test_too_many_parts_are_refused_early() -> None:
    assert len(parse(part() * 8 + END)) == 8
    with pytest.raises(PayloadTooLarge, match="more than 8 parts"):
        parse(part() * 9 + END)
    with pytest.raises(PayloadTooLarge):
        parse(part() * 9 + b"and then this stops being a form")
    with pytest.raises(PayloadTooLarge):
        parse(part(FILE, b"") * 10_000 + END)


def test_long_file_names_are_refused() -> None:
    header = b'Content-Disposition: form-data; name="file"; filename="%s"'
    assert len(parse(part(header % (b"n" * 255)) + END)) == 1
    with pytest.raises(InvalidRequest, match="longer than 255 characters"):
        parse(part(header % (b"n" * 256)) + END)


def test_file_name_length_is_counted_in_characters() -> None:
    header = 'Content-Disposition: form-data; name="file"; filename="{}"'.format("ä" * 200)
    assert len(parse(part(header.encode()) + END)) == 1


def test_malformed_form_writes_no_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(ObservabilitySettings())
    with pytest.raises(InvalidRequest):
        parse(BAD["another boundary"])
    assert capsys.readouterr().err == ""


BOUNDARY = "a-boundary-of-ours"
names = st.text(
    st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters='"\\\x85\u2028\u2029'),
    min_size=1,
    max_size=30,
)
tricky = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY.encode()[:-1], b"\0", b"x"]),
    max_size=12,
).map(b"".join)


@examples(300)
@given(st.lists(st.tuples(names, names, st.binary(max_size=200) | tricky), max_size=8))
def test_form_written_by_httpx_is_read_back(files: list[tuple[str, str, bytes]]) -> None:
    assume(not any(BOUNDARY.encode() in content for _, _, content in files))
    request = httpx.Request(
        "POST",
        "http://server.example/",
        files=[(name, (file_name, content)) for name, file_name, content in files],
        headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
    )
    if not files:  # httpx writes no form at all
        return
    found = parse(request.read(), request.headers["content-type"])
    assert found == [Part(*file) for file in files]


@examples(300)
@given(
    st.lists(
        st.sampled_from([b"--b", b"--b--", b"\r\n", b"\r\n\r\n", FILE, b": ", b";", b"x", b'"', b"\xff", b"\0"]),
        max_size=30,
    ).map(b"".join)
)  # fmt: skip
def test_arbitrary_body_raises_only_expected_errors(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest, PayloadTooLarge):
        parse(body)
