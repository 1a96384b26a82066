"""An image in a form, from clients and attackers."""

from __future__ import annotations

import base64
import contextlib
import tracemalloc
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CallerError, InvalidRequest, PayloadTooLarge
from service.core.imaging.answer import Classification, ImageFacts, Prediction, Timing
from service.transport.http.compat.calls import shares
from service.transport.http.compat.forms import image_in_pairs, image_in_parts
from service.transport.http.middleware.media_type import parse_media_type
from tests.support.models.pictures import plain
from tests.support.suite.examples import examples

thorough = examples(300)
FIELDS = ("data", "body")
TYPE = parse_media_type("multipart/form-data; boundary=b")


def in_parts(*parts: tuple[str, bytes]) -> bytes:
    """``parts``: the text after ``name=``, and the content."""
    lines = [
        b"--b\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n" % (name.encode(), content)
        for name, content in parts
    ]
    return image_in_parts(TYPE, b"".join((*lines, b"--b--\r\n")), FIELDS, max_file_name_chars=255)


@thorough
@given(st.binary(min_size=1), st.sampled_from(FIELDS), st.sampled_from([quote, quote_plus, str]))
def test_base64_is_read_from_a_urlencoded_form(image: bytes, field: str, escape: object) -> None:
    assert callable(escape)
    for text in (base64.b64encode(image).decode(), base64.urlsafe_b64encode(image).decode()):
        pair = f"{field}={escape(text)}".encode()
        for body in (pair, b"a=1&" + pair, pair + b"&b=%41&c"):
            assert image_in_pairs(body, FIELDS) == image


@thorough
@given(st.binary(min_size=1))
def test_percent_escaped_data_url_is_read(image: bytes) -> None:
    lines = base64.encodebytes(image).decode().replace("\n", "\r\n ")
    url = f"data:image/png;base64,{lines}"
    assert image_in_pairs(urlencode({"data": url}, quote_via=quote).encode(), FIELDS) == image
    assert image_in_pairs(f"data={quote(url, safe='')}".encode(), FIELDS) == image


@thorough
@given(st.binary())
def test_arbitrary_body_is_read_or_refused(body: bytes) -> None:
    for data in (body, b"data=" + body, b"&" + body + b"&body=" + body):
        with contextlib.suppress(CallerError):
            assert isinstance(image_in_pairs(data, FIELDS), bytes)
    with contextlib.suppress(CallerError):
        assert isinstance(in_parts(("data", body)), bytes)


def test_part_is_a_file_an_image_or_base64() -> None:
    image = plain()
    for name, content in (
        ('"data"; filename="a"', image),
        ('"body"', image),
        ('"data"', base64.b64encode(image)),
        ('"data"', b"data:image/png;base64," + base64.b64encode(image)),
    ):
        assert in_parts(('"note"', b"ignored"), (name, content)) == image
    assert in_parts(('"data"; filename=""', b"text")) == b"text", "a file is what it is"


@pytest.mark.parametrize(
    "parts",
    [
        (('"data"', b"aGk="), ('"body"', b"aGk=")),
        (('"other"', b"aGk="),),
        (('"data"', b"a.b"),),
        (),
    ],
)
def test_form_without_exactly_one_image_part_is_refused(
    parts: tuple[tuple[str, bytes], ...],
) -> None:
    with pytest.raises(InvalidRequest):
        in_parts(*parts)


@pytest.mark.parametrize("body", [b"data=aGk=&body=aGk=", b"other=aGk=", b"", b"data=a%41"])
def test_urlencoded_form_without_exactly_one_image_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        image_in_pairs(body, FIELDS)


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        image_in_pairs(b"a=1&" * 8 + b"data=aGk=", FIELDS)


def test_escaped_field_names_are_recognised() -> None:
    assert image_in_pairs(b"d%61ta=aGk=", FIELDS) == b"hi"


@pytest.mark.parametrize("escape", [b"%2B", b"%2f", b"%41", b"%", b"&"])
def test_form_of_escapes_uses_bounded_memory(escape: bytes) -> None:
    body = b"data=" + escape * 500_000
    tracemalloc.start()
    with contextlib.suppress(CallerError):
        image_in_pairs(body, FIELDS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * len(body) + 100_000


def test_duplicate_label_keeps_the_higher_score() -> None:
    predictions = [Prediction("crane", 1, 0.5), Prediction("cup", 2, 0.3)]
    predictions.append(Prediction("crane", 3, 0.2))
    answer = Classification(
        None,
        predictions,
        None,
        abstained=True,
        calibrated=False,
        image=ImageFacts("PNG", 1, 1),
        timing=Timing(0, 0, 0, 0),
    )
    assert shares(answer) == {"crane": 0.5, "cup": 0.3}
