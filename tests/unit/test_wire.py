import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import HEADER_BYTES, NotFramed, frame_header, split_frame


@given(st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_a_framed_body_is_split_into_the_same_id_and_body(schema_id: int, body: bytes) -> None:
    assert split_frame(frame_header(schema_id) + body) == (schema_id, body)


def test_a_header_is_a_zero_byte_and_the_id_big_endian() -> None:
    assert frame_header(0x01020304) == bytes([0, 1, 2, 3, 4])
    assert len(frame_header(1)) == HEADER_BYTES


@given(st.binary(max_size=HEADER_BYTES - 1))
def test_a_value_shorter_than_a_header_is_not_framed(value: bytes) -> None:
    with pytest.raises(NotFramed, match="must begin with byte 00"):
        split_frame(value)


@given(st.integers(1, 255), st.binary(min_size=HEADER_BYTES - 1, max_size=40))
def test_another_first_byte_is_not_framed_and_the_error_shows_it(first: int, rest: bytes) -> None:
    with pytest.raises(NotFramed, match=f"{first:02x}"):
        split_frame(bytes([first]) + rest)


def test_an_empty_value_is_not_framed() -> None:
    with pytest.raises(NotFramed, match="nothing"):
        split_frame(b"")
