"""Raw columns to the values of a field: texts, numbers, durations, times. What does not fit is a problem of its row."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.blocks import shown
from connectors.files.rejects import Problems
from connectors.files.times import (
    EPOCH,
    FIRST_MS,
    LOCAL,
    NO_TIME,
    ms_of_numbers,
    ms_of_whole,
    times_of_format,
    times_of_texts,
    utc_of_local,
)
from schemas.acceptance import LAST_MS
from schemas.arrays import Bools, Bytes, Float64s, Int64s

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_CLOCK = r"^(?:(?P<h>\d+):)?(?P<m>\d{1,3}):(?P<s>[0-5]\d(?:\.\d+)?)$"
_EXACT = 2.0**53  # doubles count further than that, but not by ones

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)

UNITS_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
_COUNTED = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
HMS = "hms"


def valid(array: pa.Array) -> Bools:
    """bool[n]: where the array is not null."""
    told: Bools = array.is_valid().to_numpy(zero_copy_only=False)
    return told


def plain(array: pa.Array) -> pa.Array:
    """The column without dictionaries, long offsets and other ways to store the same; NaN is null."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.utf8())
    if isinstance(kind, pa.UuidType):
        return pa.array([None if one is None else str(one) for one in array.to_pylist()], pa.utf8())
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if pa.types.is_float16(kind):
        return plain(array.cast(pa.float64()))
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(array), None, array)
    return array


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes, which may be no text."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def is_scalar(kind: pa.DataType) -> bool:
    """Whether values of a type can be told as a text."""
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind))


def texts(raw: pa.Array, name: str, problems: Problems) -> pa.Array:
    """utf8 of a scalar column: numbers as they are written without an exponent, true and false, times as RFC 3339."""
    kind = raw.type
    if pa.types.is_string(kind):
        return raw
    if pa.types.is_null(kind):
        return pa.nulls(len(raw), pa.utf8())
    if pa.types.is_floating(kind):
        return _texts_of_floats(raw.cast(pa.float64()))
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(raw.cast(pa.utf8()), r"\.0+$", "")
    if is_bytes(kind):
        return _texts_of_bytes(raw, name, problems)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pc.strftime(raw.cast(pa.timestamp("ms", "UTC"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
    if not is_scalar(kind):
        problems.note(valid(raw), lambda _: f"{name} is a list or an object, no text")
        return pa.nulls(len(raw), pa.utf8())
    return raw.cast(pa.utf8())


def _texts_of_floats(raw: pa.Array) -> pa.Array:
    values = raw.fill_null(0.5).to_numpy()
    whole = (np.floor(values) == values) & (np.abs(values) < _EXACT)
    if not whole.any():
        return raw.cast(pa.utf8())
    integers = pa.array(np.where(whole, values, 0.0).astype(np.int64)).cast(pa.utf8())
    return pc.if_else(pa.array(whole), integers, raw.cast(pa.utf8()))


def _texts_of_bytes(raw: pa.Array, name: str, problems: Problems) -> pa.Array:
    try:
        return raw.cast(pa.utf8())
    except pa.ArrowInvalid:
        found: list[str | None] = []
        for i, one in enumerate(raw.to_pylist()):
            try:
                found.append(None if one is None else one.decode())
            except UnicodeDecodeError:
                problems.reasons.setdefault(i, f"{name} is not UTF-8")
                found.append(None)
        return pa.array(found, pa.utf8())


def numbers(raw: pa.Array, name: str, problems: Problems, decimal: str = ".") -> tuple[Float64s, Bools]:
    """float64[n] and where they are told, bool[n]. What is no finite number is a problem."""
    kind = raw.type
    if pa.types.is_string(kind):
        read = _numbers_of_texts(raw, name, problems, decimal)
    elif any(of(kind) for of in _NUMBERS) or pa.types.is_null(kind):
        read = raw.cast(pa.float64(), safe=False)
    else:
        problems.note(valid(raw), lambda i: f"{name} must be a number, got {raw[i].as_py()!r}")
        read = pa.nulls(len(raw), pa.float64())
    told = valid(read)
    values: Float64s = read.fill_null(0.0).to_numpy()
    finite = np.isfinite(values)
    if not finite.all():
        problems.note(~finite, lambda i: f"{name} must be finite, got {raw[i].as_py()}")
        values, told = np.where(finite, values, 0.0), told & finite
    return values, told


def _numbers_of_texts(raw: pa.Array, name: str, problems: Problems, decimal: str) -> pa.Array:
    said = blank_is_null(pc.utf8_trim_whitespace(raw))
    if decimal == ",":
        dotted = pc.match_substring(said, ".").fill_null(False).to_numpy(zero_copy_only=False)
        problems.note(dotted, lambda i: f"{name} {raw[i].as_py()!r} has a point, and the mapping says decimal = ','")
        said = pc.replace_substring(pc.if_else(pa.array(~dotted), said, None), ",", ".")
    try:
        return pc.cast(said, pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(said, _NUMBER).fill_null(True).to_numpy(zero_copy_only=False)
        problems.note(~fits, lambda i: _no_number(name, raw[i].as_py(), decimal))
        return pc.cast(pc.if_else(pa.array(fits), said, None), pa.float64())


def _no_number(name: str, text: str, decimal: str) -> str:
    if text.strip().lstrip("+-").lower() in ("nan", "inf", "infinity"):
        return f"{name} must be finite, got {text}"
    if "," in text and decimal == ".":
        return f"{name} {text!r} has a comma: a mapping with decimal = ',' reads decimal commas"
    return f"{name} must be a number, got {text!r}"


def integers(raw: pa.Array, name: str, problems: Problems, decimal: str = ".") -> tuple[Int64s, Bools]:
    """int64[n] of whole numbers that are at least 0."""
    values, told = numbers(raw, name, problems, decimal)
    whole = (np.floor(values) == values) & (values >= 0) & (values < _EXACT)
    problems.note(~whole, lambda i: f"{name} must be a whole number of at least 0, got {raw[i].as_py()!r}")
    return np.where(whole, values, 0).astype(np.int64), told & whole


def durations(
    raw: pa.Array, name: str, problems: Problems, unit: str = "ms", decimal: str = "."
) -> tuple[Int64s, Bools]:
    """int64[n] of milliseconds, at least 0. unit: of UNITS_MS, or HMS for 1:02:03 and 2:03."""
    if unit == HMS:
        values, told = _clock_durations(texts(raw, name, problems), name, problems)
    elif pa.types.is_duration(raw.type):
        counted = raw.cast(pa.duration("ms"), safe=False).cast(pa.int64())
        values, told = counted.fill_null(0).to_numpy().astype(np.float64), valid(counted)
    else:
        values, told = numbers(raw, name, problems, decimal)
        values = values * UNITS_MS[unit]
    fits = (values >= 0) & (values < _EXACT)
    problems.note(~fits, lambda i: f"{name} must be at least 0 and at most 10 years, got {raw[i].as_py()}")
    return np.rint(np.where(fits, values, 0)).astype(np.int64), told & fits


def _clock_durations(said: pa.Array, name: str, problems: Problems) -> tuple[Float64s, Bools]:
    said = blank_is_null(pc.utf8_trim_whitespace(said))
    parts = pc.extract_regex(said, _CLOCK)
    told = valid(parts)
    problems.note(valid(said) & ~told, lambda i: f"{name} must be like 1:02:03 or 2:03, got {said[i].as_py()!r}")
    hours, minutes, seconds = (
        blank_is_null(part).cast(pa.float64()).fill_null(0.0).to_numpy() for part in parts.flatten()
    )
    return (hours * 3600 + minutes * 60 + seconds) * 1000.0, told


def blank_is_null(said: pa.Array) -> pa.Array:
    """The texts, null where they are empty."""
    return pc.if_else(pc.equal(said, ""), None, said) if len(said) else said


def times(
    raw: pa.Array,
    name: str,
    problems: Problems,
    *,
    zone: ZoneInfo | None = None,
    form: str | None = None,
    epoch: str = "ms",
    decimal: str = ".",
) -> tuple[Int64s, Bools]:
    """int64[n], epoch milliseconds, and where they are told. A time without a zone is one of ``zone``, or a problem.

    form: of strptime, None for RFC 3339 and numbers. epoch: what numbers count, of EPOCH_UNITS, with or without a
    fraction.
    """
    kind, told = raw.type, valid(raw)
    local = np.zeros(len(raw), np.bool_)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = raw.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False)
        at_ms: Int64s = stamps.cast(pa.int64()).fill_null(0).to_numpy()
        if getattr(kind, "tz", None) is None:
            local = told
    elif any(of(kind) for of in _NUMBERS):
        at_ms = _of_epoch(raw, name, problems, epoch)
    elif pa.types.is_string(kind):
        said = blank_is_null(pc.utf8_trim_whitespace(raw))
        told = valid(said)
        at_ms, found = times_of_texts(said) if form is None else times_of_format(said, form)
        at_ms = np.where(found == EPOCH, ms_of_whole(at_ms, epoch), at_ms)
        if form is None:
            _read_numbers(said, at_ms, found, epoch, decimal)
        problems.note(told & (found == NO_TIME), lambda i: _no_time(name, raw[i].as_py(), form, epoch))
        told &= found != NO_TIME
        local = found == LOCAL
    else:
        problems.note(told, lambda i: _no_time(name, raw[i].as_py(), form, epoch))
        return np.zeros(len(raw), np.int64), np.zeros(len(raw), np.bool_)
    fits = (at_ms >= FIRST_MS) & (at_ms < LAST_MS)
    if local.any():
        at_ms = _in_zone(at_ms, local & fits, zone, problems, lambda i: f"{name} {raw[i].as_py()}")
        fits &= (at_ms >= FIRST_MS) & (at_ms < LAST_MS)
    problems.note(told & ~fits, lambda i: f"{name} must lie between 1970 and 2200, got {shown(raw[i])}")
    return at_ms, told & fits


def _of_epoch(raw: pa.Array, name: str, problems: Problems, epoch: str) -> Int64s:
    if pa.types.is_integer(raw.type):
        return ms_of_whole(raw.cast(pa.int64(), safe=False).fill_null(0).to_numpy(), epoch)
    return ms_of_numbers(numbers(raw, name, problems)[0], epoch)


def _read_numbers(said: pa.Array, at_ms: Int64s, found: Bytes, epoch: str, decimal: str) -> None:
    """Read texts that were found to be no time as numbers that are more than some digits; both columns are updated."""
    which = np.flatnonzero(found == NO_TIME)
    some = pc.replace_substring(said.take(pa.array(which)), decimal, ".")
    fits = pc.match_substring_regex(some, _NUMBER).fill_null(False)
    which = which[fits.to_numpy(zero_copy_only=False)]
    if which.shape[0]:
        counted = some.filter(fits).cast(pa.float64()).to_numpy()
        at_ms[which], found[which] = ms_of_numbers(counted, epoch), EPOCH


def _in_zone(
    at_ms: Int64s, local: Bools, zone: ZoneInfo | None, problems: Problems, said: Callable[[int], str]
) -> Int64s:
    if zone is None:
        problems.note(
            local,
            lambda i: f"{said(i)} has no zone: write an offset such as +03:00 or Z, or name the zone in a mapping",
        )
        return at_ms
    which = np.flatnonzero(local)
    utc_ms, exists = utc_of_local(at_ms[which], zone)
    missing = np.zeros(len(at_ms), np.bool_)
    missing[which[~exists]] = True
    problems.note(missing, lambda i: f"{said(i)} does not exist in {zone.key}: clocks were put forward")
    placed = at_ms.copy()
    placed[which] = utc_ms
    return placed


def _no_time(name: str, text: object, form: str | None, epoch: str) -> str:
    if form is not None:
        return f"{name} must be like {form}, got {text!r}"
    wanted = f"RFC 3339, such as 2026-03-01T09:30:00+03:00, or epoch {_COUNTED[epoch]}"
    return f"{name} must be {wanted}, got {text!r}; a mapping with a format reads other times"
