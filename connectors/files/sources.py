"""Which files are meant, of which format, and their bytes."""

import glob
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import pyarrow as pa

from connectors.files.mapping import NATURAL, Mapping
from connectors.files.transcoding import as_utf_8
from schemas.errors import InputUnreadable, MappingError

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
STDIN = "-"

_EXTENSIONS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_COMPRESSED = {".gz", ".zst"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or standard input, and what its columns are; ``name`` is what messages call it."""

    name: str
    format: Format
    mapping: Mapping = NATURAL


def sources(arguments: Sequence[str], mappings: Sequence[Mapping], given: Format | None) -> list[Source]:
    """The files that paths and patterns mean, those of a pattern in the order of their names.

    mappings: each file is read by the first one that is for it, as it is by none. given: the format of standard input
    and of files whose name does not say it; else that of the mapping.

    Raises:
        InputUnreadable: nothing is there, the format of a file is not known, or a file is named twice.
        MappingError: a mapping is for none of the files.
    """
    found: list[Source] = []
    for argument in arguments:
        if argument == STDIN:
            found.append(_source(STDIN, mappings, given))
            continue
        there = Path(argument).exists()
        # glob, not Path.glob: patterns may be absolute
        paths = [argument] if there else sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
        files = [path for path in paths if not Path(path).is_dir()]
        if there and not files:
            raise InputUnreadable(
                f"{argument} is a directory: name its files, such as '{argument.rstrip('/')}/*.parquet'"
            )
        if not files:
            raise InputUnreadable(f"{argument} is no file, and as a pattern it finds none")
        found += [_source(path, mappings, given) for path in files]
    _each_once(found)
    for mapping in mappings:
        if not any(source.mapping is mapping for source in found):
            raise MappingError(
                f"{mapping.name} is for none of the files: mappings before it take them, or its `files` names others"
            )
    return found


def _each_once(found: Sequence[Source]) -> None:
    """Refuse a file that two patterns find, or a link to it: what has no event_id would count twice."""
    known: dict[Path, str] = {}
    for source in found:
        real = Path(STDIN) if source.name == STDIN else Path(source.name).resolve()
        if real in known:
            also = "" if known[real] == source.name else f", also as {known[real]}"
            raise InputUnreadable(f"{source.name} is named twice{also}: its interactions would count twice")
        known[real] = source.name


def _source(path: str, mappings: Sequence[Mapping], given: Format | None) -> Source:
    mapping = next((one for one in mappings if one.is_for(path)), NATURAL)
    return Source(path, _format(path, given or mapping.file.format), mapping)


def _format(path: str, given: Format | None) -> Format:
    if path == STDIN:
        return given or "jsonl"
    suffixes = [s.lower() for s in Path(path).suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    known = _EXTENSIONS.get(suffixes[-1]) if suffixes else None
    if known or given:
        return known or given or "jsonl"
    raise InputUnreadable(
        f"{path}: its name does not say what it is: give --format {'|'.join(FORMATS)}, or a name that ends with "
        ".jsonl, .csv, .parquet, .jsonl.gz, .csv.zst ..."
    )


def opened(source: Source) -> BinaryIO:
    """The file as it is.

    Raises:
        InputUnreadable: it cannot be opened.
    """
    if source.name == STDIN:
        return sys.stdin.buffer
    try:
        return Path(source.name).open("rb")
    except OSError as error:
        raise InputUnreadable(f"{source.name} cannot be read: {error.strerror}") from error


def chunks(source: Source, encoding: str = "utf-8") -> Iterator[bytes]:
    """The content in pieces: decompressed, in UTF-8 (see ``as_utf_8``), without a byte order mark.

    Raises:
        InputUnreadable: it cannot be read, or is cut off.
    """
    with opened(source) as file:
        begin = file.read(4)
        stream: pa.NativeFile = pa.PythonFile(_Rest(begin, file), mode="r")
        codec = next((name for magic, name in _MAGIC.items() if begin.startswith(magic)), None)
        if codec is not None:
            stream = pa.CompressedInputStream(stream, codec)
        content = _content(source, stream)
        first = True
        for chunk in content if encoding == "utf-8" else as_utf_8(content, encoding, source.name):
            if first and encoding == "utf-8" and (chunk[:2] in _UTF_16 or b"\0" in chunk[:2]):
                raise InputUnreadable(
                    f"{source.name} is UTF-16: save it as UTF-8, or say encoding = 'utf-16' in a mapping"
                )
            yield chunk.removeprefix(b"\xef\xbb\xbf") if first else chunk
            first = False


def _content(source: Source, stream: pa.NativeFile) -> Iterator[bytes]:
    while True:
        try:
            chunk: bytes = stream.read(_CHUNK)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputUnreadable(f"{source.name} cannot be read to its end: {error}") from error
        if not chunk:
            return
        yield chunk


class _Rest:
    """A file whose first bytes have been read already."""

    closed = False

    def __init__(self, begin: bytes, file: BinaryIO) -> None:
        self._begin = begin
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if self._begin:
            begin, self._begin = self._begin, b""
            return begin + self._file.read(max(size - len(begin), 0)) if size != -1 else begin + self._file.read()
        return self._file.read(size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Whoever opened it closes it."""
