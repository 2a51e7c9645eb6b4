"""What kind of statement a request carries, where its data begins and which format it names."""

import re
from dataclasses import dataclass

_TOKENS = re.compile(
    rb"""(?P<skip> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*`
                 | --[^\n]* | /\*.*?\*/ )
       | (?P<open>\() | (?P<close>\))
       | \b(?: FORMAT\s+(?P<format>\w+) | (?P<inline>VALUES|SELECT|WITH|INFILE) )\b""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_FIRST_WORD = re.compile(rb"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
_END_OF_HEAD = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?")
_READS = frozenset((b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"FROM"))


@dataclass(frozen=True, slots=True)
class Read:
    """A statement with a result. ``bare`` is its text without FORMAT, ``format`` the format it named."""

    bare: bytes
    format: str | None


@dataclass(frozen=True, slots=True)
class Insert:
    """``INSERT ... FORMAT name`` and the data that follows it, in that format."""

    head: bytes
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """Everything else, ``INSERT ... VALUES`` and ``INSERT ... SELECT`` included."""

    text: bytes


Statement = Read | Insert | Command


def parsed(query: bytes, body: bytes) -> Statement:
    """Understand a request: ``query`` is what the address says, ``body`` what was posted; either may be empty.

    The engine reads them as one text, query first. ``body`` may be binary behind the FORMAT clause.
    """
    text = query or body
    found = _FIRST_WORD.match(text)
    word = found.group(1).upper() if found else b""
    if word == b"INSERT":
        insert = _insert(text, body if query else b"")
        if insert is not None:
            return insert
    whole = query + b"\n" + body if query and body else text
    if word in _READS:
        return _read(whole)
    return Command(whole)


def _insert(text: bytes, more: bytes) -> Insert | None:
    depth = 0
    for token in _TOKENS.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif depth == 0 and token["inline"]:
            return None
        elif depth == 0 and token["format"]:
            gap = _END_OF_HEAD.match(text, token.end())
            data = text[gap.end() if gap else token.end() :]
            return Insert(text[: token.start()], token["format"].decode(), data + more if data else more)
    return None


def _read(text: bytes) -> Read:
    last = None
    for token in _TOKENS.finditer(text):
        if token["format"]:
            last = token
    bare = text if last is None else text[: last.start()] + text[last.end() :]
    return Read(bare.strip().rstrip(b";").rstrip(), last["format"].decode() if last else None)
