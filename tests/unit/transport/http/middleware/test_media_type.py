"""Media types and weighted lists, as clients write them and as attackers do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from service.transport.http.middleware.media_type import (
    MediaType,
    content_type_of,
    elements_of,
    list_of,
    parse_media_type,
    parse_preferences,
)

thorough = settings(deadline=None, max_examples=300, derandomize=True, database=None)
TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("value", "name", "parameters"),
    [
        ("", "", {}),
        ("image/png", "image/png", {}),
        (" \tImage/PNG ", "image/png", {}),
        ("garbage", "garbage", {}),
        (";", "", {"": ""}),
        ("text/html;charset=utf-8", "text/html", {"charset": "utf-8"}),
        ('Text/HTML;Charset="utf-8"', "text/html", {"charset": "utf-8"}),
        ("text/html ; charset = UTF-8 ", "text/html", {"charset": "UTF-8"}),
        ('a/b; x="1;2, 3"; y=4', "a/b", {"x": "1;2, 3", "y": "4"}),
        (r'a/b; x="say \"hi\" \\ \o/"', "a/b", {"x": r'say "hi" \ o/'}),
        ('a/b; x=""', "a/b", {"x": ""}),
        ("a/b; x=1; x=2", "a/b", {"x": "2"}),
        ("a/b; flag; x=1", "a/b", {"flag": "", "x": "1"}),
        ('a/b; x="open; y=1', "a/b", {"x": '"open; y=1'}),
        ('a/b; x="', "a/b", {"x": '"'}),
        ("a/b; x*=utf-8''y", "a/b", {"x*": "utf-8''y"}),
        ("a/b; x=\xe9", "a/b", {"x": "\xe9"}),
    ],
)
def test_a_media_type_has_a_name_and_parameters(
    value: str, name: str, parameters: dict[str, str]
) -> None:
    assert parse_media_type(value) == MediaType(name, parameters)


def test_lines_of_one_name_are_one_list() -> None:
    headers = [(b"accept", b"a/b"), (b"accept-encoding", b"gzip"), (b"accept", b"c/d;q=0")]
    connection = HTTPConnection({"type": "http", "headers": headers})
    assert list_of(connection, b"accept") == "a/b,c/d;q=0"
    assert list_of(connection, b"if-none-match") == ""


@pytest.mark.parametrize(
    ("header", "elements"),
    [
        ("", []),
        (" a ,\tb,,c", ["a", "b", "c"]),
        ('"a, b", W/"c"', ['"a, b"', 'W/"c"']),
        (r'"a\", b", c', [r'"a\", b"', "c"]),
        ('a, "b, c', ["a", '"b, c']),
    ],
)
def test_commas_in_quotes_separate_no_elements(header: str, elements: list[str]) -> None:
    assert elements_of(header) == elements


@thorough
@given(st.text(max_size=80) | st.lists(st.sampled_from([*';="\\, /', "a", "q"])).map("".join))
def test_any_text_is_parsed(value: str) -> None:
    parse_media_type(value)
    parse_preferences(value)


@thorough
@given(TOKEN, TOKEN, st.dictionaries(TOKEN, st.text(st.characters(max_codepoint=255), max_size=9)))
def test_what_is_written_by_the_rules_is_read_back(
    kind: str, subtype: str, parameters: dict[str, str]
) -> None:
    text = "".join(
        '; {}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in parameters.items()
    )
    assert parse_media_type(f"{kind}/{subtype}{text}") == MediaType(f"{kind}/{subtype}", parameters)


@pytest.mark.parametrize("piece", [";", '"', '\\"', ';a="', "; ", '"\\', ";=", "a"])
def test_long_hostile_values_are_parsed_in_one_pass(piece: str) -> None:
    # Steps that grow with the square of the length would take hours.
    value = 'a/b;x="' + piece * 400_000
    assert parse_media_type(value).name == "a/b"


@pytest.mark.parametrize(
    ("values", "name"),
    [((), ""), (("image/png; x=1",), "image/png"), (("image/png", "text/plain"), "image/png")],
)
def test_the_first_content_type_of_a_request_counts(values: tuple[str, ...], name: str) -> None:
    headers = [(b"content-type", value.encode()) for value in values]
    assert content_type_of(HTTPConnection({"type": "http", "headers": headers})).name == name


@pytest.mark.parametrize(
    ("header", "preferences"),
    [
        ("", []),
        (",, ,;q=1,", []),
        ("gzip", [("gzip", True)]),
        ("GZip, br ;q=0.5", [("gzip", True), ("br", True)]),
        ("gzip;q=0", [("gzip", False)]),
        ("gzip; q = 0.000, *;Q=0", [("gzip", False), ("*", False)]),
        ("gzip;q=0.001", [("gzip", True)]),
        ("gzip;q=nonsense, br;q=, a;q=.0", [("gzip", True), ("br", True), ("a", True)]),
        ("text/html;level=1;q=0, text/html", [("text/html", False), ("text/html", True)]),
    ],
)
def test_a_weight_of_zero_alone_is_a_refusal(
    header: str, preferences: list[tuple[str, bool]]
) -> None:
    assert parse_preferences(header) == preferences
