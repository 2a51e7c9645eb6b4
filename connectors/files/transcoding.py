"""Text of other encodings as UTF-8, with bytes that are none in UTF-8 either where it is none: its row tells it."""

import codecs
from collections.abc import Iterator

from schemas.errors import InputUnreadable

_NO_TEXT = "friction_no_text"


def _left(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end  # a byte that UTF-8 never has, once it is encoded


codecs.register_error(_NO_TEXT, _left)


def known_encoding(name: str) -> str:
    """The name that Python has for an encoding of texts.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        "".encode(name)  # not every codec is one of texts
        codecs.getincrementaldecoder(name)(_NO_TEXT).decode(b"\xff", final=True)  # some know their own errors alone
        return codecs.lookup(name).name
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"must be an encoding such as utf-8 or cp1254, got {name!r}") from error


def as_utf_8(content: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """The same text in UTF-8, in which what is no text of ``encoding`` is the byte 0xFF. name: of the file.

    Raises:
        InputUnreadable: it cannot be of that encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)(_NO_TEXT)
    for chunk in content:
        try:
            text = decoder.decode(chunk)
        except UnicodeError as error:  # UTF-16 without a mark does not say which one it is
            raise InputUnreadable(
                f"{name} cannot be read as {encoding}: {error}; say in its mapping another one, such as {encoding}-le"
            ) from error
        yield text.encode(errors="surrogateescape")
    if rest := decoder.decode(b"", final=True):
        yield rest.encode(errors="surrogateescape")


def no_text(error: UnicodeDecodeError, encoding: str) -> str:
    """What a row is not; ``encoding`` is that of its file."""
    if encoding != "utf-8":
        return f"not {encoding}, which its mapping says"
    return f"not UTF-8 ({error.reason} at byte {error.start + 1}); a mapping may name its encoding"
