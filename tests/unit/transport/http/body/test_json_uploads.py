"""Images as base64 in JSON, and the permitted fields of a form."""

from __future__ import annotations

import base64
import binascii
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidImage, InvalidParameter, Violation
from service.transport.http.body.multipart import Part
from service.transport.http.body.uploads import _from_json, _only, _refuse_others
from tests.support.suite.examples import examples


def body(image: object) -> bytes:
    return json.dumps({"image": image}).encode()


def refused(data: bytes) -> tuple[str, str]:
    """Pointer and message of the first violation."""
    with pytest.raises(InvalidParameter) as caught:
        _from_json(data)
    assert 1 <= len(caught.value.violations) <= 20
    first = caught.value.violations[0]
    return first.pointer, first.detail


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("aGk=", b"hi"),
        ("aGk", b"hi"),
        ("aGk====", b"hi"),
        ("aGkh", b"hi!"),
        (" a\r\nG\tk = ", b"hi"),
        ("/+/+", b"\xff\xef\xfe"),
        ("_-_-", b"\xff\xef\xfe"),
        ("/-_+", b"\xff\xef\xfe"),
        ("data:image/png;base64,aGk=", b"hi"),
        ("data:;base64,aGk", b"hi"),
        ("data:image/png;charset=utf-8;base64,aGk=", b"hi"),
        ("data:text/html;base64,aGk=", b"hi"),
    ],
)
def test_common_base64_spellings_are_decoded(text: str, image: bytes) -> None:
    assert _from_json(body(text)) == image


@pytest.mark.parametrize("text", ["DATA:image/png;base64,aGk=", "data:image/png;BASE64,aGk="])
def test_data_url_keywords_are_case_insensitive(text: str) -> None:
    assert _from_json(body(text)) == b"hi"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a", "Not base64"),
        ("aGkha", "Not base64"),
        ("aGk=aGk=", "Not base64"),
        ("a=Gk", "Not base64"),
        ("aG.k", "Not base64"),
        ("aG\vk", "Not base64"),
        ("aGk\u200b", "Not base64"),
        ("äGk=", "Not base64"),
        ("\uff41Gk=", "Not base64"),
        ("aGk\0", "Not base64"),
        ("https://example.com/a.png", "Not base64"),
        ("file:///etc/passwd", "Not base64"),
        ("data:image/png,hi", "The data URL is not in base64"),
        ("data:base64,aGk=", "The data URL is not in base64"),
        ("data:", "The data URL is not in base64"),
    ],
)
def test_invalid_base64_is_refused(text: str, detail: str) -> None:
    assert refused(body(text)) == ("/body/image", detail)


@pytest.mark.parametrize(
    "text", ["data:image/png;base64", "data:image/png;base64,", "", " \n", "===="]
)
def test_base64_of_no_bytes_is_an_invalid_image(text: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        _from_json(body(text))
    assert caught.value.violations == (Violation("/body/image", "The image has no bytes."),)


def test_byte_order_mark_is_ignored() -> None:
    assert _from_json(b"\xef\xbb\xbf" + body("aGk=")) == b"hi"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (b"", "/body"),
        (b"{", "/body"),
        (b"null", "/body"),
        (b"[]", "/body"),
        (b'"aGk="', "/body"),
        (b"\xff\xfe", "/body"),
        (b'{"image": "aGk="}{}', "/body"),
        (b'{"image": "\xff"}', "/body"),
        (b'{"image": "\\ud83d"}', "/body"),
        (b'{"image": "aGk=",}', "/body"),
        (b"{'image': 'aGk='}", "/body"),
        (b"[" * 10**6, "/body"),
        (b'{"a":' * 10**5, "/body"),
        (b'{"image": ' + b"9" * 10**5 + b"}", "/body"),
        (b"{}", "/body/image"),
        (b'{"IMAGE": "aGk="}', "/body/image"),
        (b'{"image": null}', "/body/image"),
        (b'{"image": 1}', "/body/image"),
        (b'{"image": NaN}', "/body/image"),
        (b'{"image": ["aGk="]}', "/body/image"),
        (b'{"image": {"url": "http://x"}}', "/body/image"),
        (b'{"image": "aGk=", "url": "x"}', "/body/url"),
        (b'{"image": "aGk=", "a/b~c": 1}', "/body/a~1b~0c"),
        (b'{"image": "aGk=", "__proto__": 1}', "/body/__proto__"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_other_json_is_refused_with_its_location(data: bytes, pointer: str) -> None:
    assert refused(data)[0] == pointer


def test_error_does_not_repeat_values() -> None:
    secret = "a secret, in the wrong field!"
    for data in (
        {"image": secret},
        {"image": 1, "password": secret},
        {"image": {"x": secret}},
        {"image": [secret]},
    ):
        assert secret not in "".join(refused(json.dumps(data).encode()))


def test_only_one_of_many_violations_is_reported() -> None:
    with pytest.raises(InvalidParameter) as caught:
        _from_json(json.dumps({f"k{number}": 1 for number in range(1000)}).encode())
    assert len(caught.value.violations) == 1


def test_long_member_name_is_shortened_in_the_error() -> None:
    pointers = [refused(json.dumps({"image": "aGk=", "k" * 10**6: 1}).encode())[0]]
    assert max(map(len, pointers)) < 1000


@examples(200)
@given(st.binary(min_size=1, max_size=300))
def test_every_image_round_trips_in_both_alphabets(image: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
        text = encode(image).decode()
        assert _from_json(body(text)) == image
        assert _from_json(body(text.replace("=", ""))) == image


@examples(300)
@given(st.text(max_size=60))
def test_text_is_decoded_like_the_standard_library_or_refused(text: str) -> None:
    try:
        found = _from_json(body(text))
    except (InvalidParameter, InvalidImage):
        return
    bare = "".join(text.partition(",")[2].split() if text.startswith("data:") else text.split())
    bare = bare.rstrip("=").replace("-", "+").replace("_", "/")
    assert found == binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)


@pytest.mark.parametrize("name", ["file", "image"])
def test_one_file_under_an_accepted_name_is_the_image(name: str) -> None:
    assert _only([Part(name, "a.png", b"x")]) == b"x"


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ([], "/body/file"),
        ([Part("file", None, b"x"), Part("file", None, b"x")], "/body/file"),
        ([Part("file", None, b"x"), Part("image", None, b"x")], "/body/image"),
        ([Part("file", None, b"x"), Part("model", None, b"x")], "/body/model"),
        ([Part("FILE", None, b"x")], "/body/FILE"),
        ([Part("n" * 1000, None, b"x")], "/body/" + "n" * 64),
    ],
)
def test_other_forms_are_refused_naming_the_field(parts: list[Part], pointer: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        _only(parts)
    assert caught.value.violations[0].pointer == pointer


def test_field_without_bytes_is_an_invalid_image() -> None:
    with pytest.raises(InvalidImage) as caught:
        _only([Part("file", None, b"")])
    assert caught.value.violations[0].pointer == "/body/file"


def test_field_names_are_escaped_in_json_pointers() -> None:
    with pytest.raises(InvalidParameter) as caught:
        _refuse_others([Part("a/b~c", None, b"x")], ("file",))
    assert caught.value.violations[0].pointer == "/body/a~1b~0c"
