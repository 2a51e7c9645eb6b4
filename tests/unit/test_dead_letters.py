"""What is put aside keeps its bytes, says why, and always fits into its topic."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.dead_letters import MAX_LETTER_BYTES, Rejected, RejectReason, dead_letter, record_bytes
from connectors.kafka.transactions import OutgoingRecord
from schemas.topics import DEAD_LETTERS, topics

Headers = list[tuple[str, bytes | None]]


def put_aside(
    key: bytes | None, value: bytes | None, headers: Headers, message: str = "bytes are left over"
) -> OutgoingRecord:
    return dead_letter(
        to_topic="letters",
        topic="interactions",
        partition=2,
        offset=41,
        key=key,
        value=value,
        headers=headers,
        rejected=Rejected(7, RejectReason.NOT_AVRO, message),
    )


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=50),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=4),
)
def test_key_value_and_headers_are_those_of_the_record_and_ours_follow(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    letter = put_aside(key, value, headers)
    assert (letter.topic, letter.partition, letter.key, letter.value) == ("letters", 2, key, value)
    assert letter.headers == [
        *headers,
        ("__connect.errors.topic", b"interactions"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"41"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", b"NotAvro"),
        ("__connect.errors.exception.message", b"bytes are left over"),
    ]


@given(
    st.integers(0, 3 * MAX_LETTER_BYTES),
    st.integers(0, 3 * MAX_LETTER_BYTES),
    st.integers(0, 3 * MAX_LETTER_BYTES),
    st.integers(0, 100_000),
)
def test_however_large_a_record_is_its_letter_fits(key: int, value: int, header: int, message: int) -> None:
    letter = put_aside(bytes(key), bytes(value), [("trace", bytes(header))], "x" * message)
    assert record_bytes(letter.key, letter.value, letter.headers) < MAX_LETTER_BYTES
    ours = {name: text or b"" for name, text in letter.headers}
    if letter.value is None:
        assert f"{key + value + header + len('trace')} bytes".encode() in ours["__connect.errors.exception.message"]
        assert ours["__connect.errors.offset"] == b"41"
    else:
        assert (letter.key, letter.value, ours["trace"]) == (bytes(key), bytes(value), bytes(header))


def test_the_topic_takes_as_large_a_record_as_is_sent() -> None:
    assert int(topics()[DEAD_LETTERS].config["max.message.bytes"]) == MAX_LETTER_BYTES
