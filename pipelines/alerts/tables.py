"""Alerts in their order: as columns where many are made at once, as objects where few are."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeVar, overload

import numpy as np

from pipelines.alerts.alert import Alert, Contribution, Earlier, OpenClock, alert_columns, many
from pipelines.policy.policy import Policy
from schemas.arrays import Bools, Int64s
from schemas.columnar.writer import Column, ColumnarWriter, ListColumn, NullableColumn, TextColumn, ValueColumn

T = TypeVar("T")

_FIELD_OF = {
    "raised_ms": "raised_at", "deadline_ms": "deadline", "handled_ms": "handled_at", "not_before_ms": "not_before",
    "began_ms": "began_at",
}  # fmt: skip
_FLAGS = ("do_not_contact", "held_back")
_ENTRIES = {"contributions": Contribution, "open_clocks": OpenClock, "earlier": Earlier}
_NOBODY, _NEVER = TextColumn.of([]), np.zeros(0, np.int64)
_NO_ENTRIES: dict[str, dict[str, ValueColumn]] = {
    "open_clocks": {"clock": _NOBODY, "opened_at": _NEVER, "deadline": _NEVER, "case_id": _NOBODY},
    "earlier": {"occurred_at": _NEVER, "channel": _NOBODY, "tried": _NOBODY},
    "members": {"customer_id": _NOBODY},
    "mutes": {"signal": _NOBODY},
}


@dataclass(eq=False, slots=True)
class AlertTable:
    """n revisions of alerts as columns of schemas/avro/alert.avsc, all but ``emitted_at``.

    known: columns that are there. later: makes the others when one is asked for, in whatever thread that is: the event
    loop does not wait for what only those who write them need. It may not look at what changes.
    """

    n: int
    known: Mapping[str, Column]
    later: Callable[[], Mapping[str, Column]] | None = None

    @property
    def columns(self) -> Mapping[str, Column]:
        """All of them."""
        if self.later is not None:
            self.known, self.later = {**self.later(), **self.known}, None
        return self.known

    def column(self, name: str) -> Column:
        """One of them."""
        return self.known[name] if name in self.known else self.columns[name]

    def texts(self, name: str) -> list[str]:
        """A column of texts, empty where it is null."""
        return [text or "" for text in _values(self.column(name), self.n)]

    def values(self, name: str, rows: Int64s) -> list[Any]:
        """What a column says of some of them, int64[k]; None for null."""
        return _values(_taken(self.column(name), rows), rows.shape[0])

    def first_texts(self, name: str, field: str) -> list[str]:
        """Of a column of lists what a field of the first entry of each says, empty without one."""
        column = self.column(name)
        if not isinstance(column, ListColumn):
            raise TypeError(f"{name} is no column of lists")
        first, there = column.begin[:-1].astype(np.int64), np.diff(column.begin) > 0
        texts = iter(_values(_chosen(column.entries[field], first[there]), int(there.sum())))
        return [next(texts) if told else "" for told in there.tolist()]

    def with_texts(self, name: str, rows: Int64s, texts: Sequence[str | None]) -> NullableColumn:
        """A column of texts that says something else of some of them, int64[k]; None for null."""
        column = self.column(name)
        old = column.values if isinstance(column, NullableColumn) else column or TextColumn.of([""] * self.n)
        if not isinstance(old, TextColumn):
            raise TypeError(f"{name} is no column of texts")
        new, start, length = TextColumn.of([text or "" for text in texts]), old.start.copy(), old.length.copy()
        start[rows], length[rows] = old.data.shape[0] + new.start, new.length
        there = column.there.copy() if isinstance(column, NullableColumn) else np.full(self.n, column is not None)
        there[rows] = [text is not None for text in texts]
        return NullableColumn(TextColumn(np.concatenate([old.data, new.data]), start, length), there)

    def take(self, rows: Int64s) -> "AlertTable":
        """Some of them, int64[k]."""
        known = {name: _taken(column, rows) for name, column in self.known.items()}

        def others() -> dict[str, Column]:
            return {name: _taken(column, rows) for name, column in self.columns.items() if name not in known}

        return AlertTable(int(rows.shape[0]), known, None if self.later is None else others)

    def with_columns(self, names: AbstractSet[str], later: Callable[[], Mapping[str, Column]]) -> "AlertTable":
        """The same with other columns of these names, which ``later`` makes."""
        known = {name: column for name, column in self.known.items() if name not in names}
        return AlertTable(self.n, known, lambda: {**self.columns, **later()})

    def alerts(self) -> list[Alert]:
        """All of them as objects."""
        by_field: list[Sequence[Any]] = []
        for name in Alert._fields:
            column = self.columns[_FIELD_OF.get(name, name)]
            if isinstance(column, ListColumn):
                by_field.append(_lists(name, column))
            else:
                values = _values(column, self.n)
                by_field.append([bool(value) for value in values] if name in _FLAGS else values)
        return [Alert(*values) for values in zip(*by_field, strict=True)]


def unsaid(n: int, digest: str) -> dict[str, Column]:
    """The columns of n alerts that say nothing but the policy by which they were told."""
    never, lists = np.zeros(n, np.int64), np.zeros(n + 1, np.int32)
    return {
        **dict.fromkeys(("touchpoint", "channel", "subject", "case_id", "deadline", "clock", "customers", "share")),
        **dict.fromkeys(("team", "handling", "handled_at", "handled_reason", "assignee", "not_before", "began_at")),
        **dict.fromkeys(_FLAGS, never),
        **{name: ListColumn(lists, entries) for name, entries in _NO_ENTRIES.items()},
        "policy": TextColumn.chosen((digest,), never),
    }


def action_column(actions: Sequence[str | None], which: Int64s, stands: Bools) -> NullableColumn:
    """The suggested action of each number in ``which``, int64[n]; null where there is none, or the alert is over."""
    there = np.array([action is not None for action in actions], np.bool_)
    return NullableColumn(TextColumn.chosen(tuple([action or "" for action in actions]), which), there[which] & stands)


def team_column(
    kinds: Iterable[str], segment: Int64s, subjects: Iterable[str | None], policy: Policy
) -> NullableColumn | None:
    """Whose alerts they are, by their types, segments (int64[n]) and subjects."""
    if policy.file.budgets is None:
        return None
    teams = [policy.team_of(*told) for told in zip(kinds, segment.tolist(), subjects, strict=True)]
    there = np.array([team is not None for team in teams], np.bool_)
    return NullableColumn(TextColumn.of([team or "" for team in teams]), there)


def _in_order(told: Iterable[tuple[int, T]]) -> list[T]:
    """What stands beside its place, in the order of the places."""
    return [one for _, one in sorted(told, key=itemgetter(0))]


@dataclass(slots=True)
class Part:
    """Alerts in their order: those of tables at the places that stand beside each, int64[k]; ``others`` the rest."""

    tables: list[tuple[AlertTable, Int64s]]
    others: list[tuple[int, Alert]]

    def __len__(self) -> int:
        return sum(table.n for table, _ in self.tables) + len(self.others)

    def alerts(self) -> list[Alert]:
        """All of them as objects."""
        told = [*self.others]
        for table, at in self.tables:
            told += zip(at.tolist(), table.alerts(), strict=True)
        return _in_order(told)


@dataclass(eq=False, slots=True)
class Alerts(Sequence[Alert]):
    """A sequence of alerts that grows at its end. Objects are made of it when it is read, not when it is written."""

    parts: list[Part] = field(default_factory=list)

    @classmethod
    def of(cls, alerts: Iterable[Alert]) -> "Alerts":
        """These."""
        made = cls()
        made.add(alerts)
        return made

    def add(self, alerts: "Alerts | Iterable[Alert]") -> None:
        """Append some."""
        if isinstance(alerts, Alerts):
            for part in alerts.parts:
                if part.tables:
                    self.parts.append(part)
                else:
                    self.add(alert for _, alert in part.others)
            return
        if not self.parts or self.parts[-1].tables:
            self.parts.append(Part([], []))
        others = self.parts[-1].others
        others.extend(enumerate(alerts, len(others)))
        if not others:
            self.parts.pop()

    def add_tables(self, tables: Sequence[tuple[AlertTable, Int64s]], others: Sequence[tuple[int, Alert]]) -> None:
        """Append those of some tables, each with the places of its alerts, int64[n], and others between them."""
        own = [(table, at) for table, at in tables if table.n]
        if own:
            self.parts.append(Part(own, list(others)))
        else:
            self.add(alert for _, alert in others)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[Alert]:
        for part in self.parts:
            yield from part.alerts()

    @overload
    def __getitem__(self, index: int) -> Alert: ...
    @overload
    def __getitem__(self, index: slice) -> list[Alert]: ...
    def __getitem__(self, index: int | slice) -> Alert | list[Alert]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def counts(self) -> Counter[tuple[str, str]]:
        """How many there are by type and status."""
        counts: Counter[tuple[str, str]] = Counter()
        for part in self.parts:
            counts.update((alert.type, alert.status) for _, alert in part.others)
            for table, _ in part.tables:
                counts += _counted(table)
        return counts

    def held_back(self) -> Counter[str]:
        """How many are held back, by team; of tables none are."""
        return Counter(a.team or "" for part in self.parts for _, a in part.others if a.held_back)

    def columns(self) -> Iterator[tuple[Int64s, int, Mapping[str, Column]]]:
        """The columns of n alerts at a time, with the places of these among all, int64[n]."""
        first = 0
        for part in self.parts:
            if part.others:
                at = np.array([k for k, _ in part.others], np.int64)
                yield first + at, len(part.others), alert_columns([alert for _, alert in part.others])
            for table, at in part.tables:
                yield first + at, table.n, table.columns
            first += len(part)

    def written(self, writer: ColumnarWriter, emitted_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each, in their order. The key is the customer, or the touchpoint."""
        told: list[tuple[int, tuple[bytes, bytes]]] = []
        for at, n, columns in self.columns():
            records = zip(_keys(columns), encoded(n, columns, writer, emitted_ms), strict=True)
            told += zip(at.tolist(), records, strict=True)
        return iter(_in_order(told))


def _counted(table: AlertTable) -> Counter[tuple[str, str]]:
    """How many there are by type and status: texts that lie at one place are decoded once."""
    kind, status = (text_column(table.column(name)) for name in ("type", "status"))
    places = kind.start * (status.data.shape[0] + 1) + status.start
    _, first, count = np.unique(places, return_index=True, return_counts=True)
    counts: Counter[tuple[str, str]] = Counter()
    for at, times in zip(first.tolist(), count.tolist(), strict=True):
        counts[kind.text(at), status.text(at)] += times
    return counts


def encoded(n: int, columns: Mapping[str, Column], writer: ColumnarWriter, emitted_ms: int) -> list[bytes]:
    """The records of n alerts. columns: see AlertTable."""
    return writer.write(n, {**columns, "emitted_at": np.full(n, emitted_ms, np.int64)})


def _keys(columns: Mapping[str, Column]) -> list[bytes]:
    """The customer of each alert; of one without a customer the touchpoint, if it has one."""
    customers = columns["customer_id"]
    if isinstance(customers, TextColumn):
        return customers.raw()
    who_or_where = (text_column(customers).raw(), text_column(columns["touchpoint"]).raw())
    return [who or where for who, where in zip(*who_or_where, strict=True)]


def text_column(column: Column) -> TextColumn:
    """A column of texts, empty where it is null."""
    texts = column.values if isinstance(column, NullableColumn) else column
    if not isinstance(texts, TextColumn):
        raise TypeError("not a column of texts")
    if not isinstance(column, NullableColumn):
        return texts
    return TextColumn(texts.data, texts.start, np.where(column.there, texts.length, 0).astype(np.int32))


def _values(column: Column, n: int) -> list[Any]:
    """What a column says of each of n, None for null."""
    if column is None:
        return [None] * n
    if isinstance(column, NullableColumn):
        values = _values(column.values, n)
        return [value if there else None for value, there in zip(values, column.there.tolist(), strict=True)]
    if isinstance(column, TextColumn):
        return [text.decode() for text in column.raw()]
    if isinstance(column, ListColumn):
        raise TypeError("a column of lists has no single values")
    return list(column.tolist())


def _lists(name: str, column: ListColumn) -> list[tuple[Any, ...]]:
    """The entries of each list, as what they are in an alert."""
    ends = column.begin.tolist()
    entries = [_values(entry, ends[-1]) for entry in column.entries.values()]
    kind = _ENTRIES.get(name)
    made: list[Any] = entries[0] if kind is None else many(kind, *entries)
    return [tuple(made[a:b]) for a, b in pairwise(ends)]


def _taken(column: Column, rows: Int64s) -> Any:
    if column is None:
        return None
    if isinstance(column, NullableColumn):
        return NullableColumn(_chosen(column.values, rows), column.there[rows])
    if not isinstance(column, ListColumn):
        return _chosen(column, rows)
    begin, end = column.begin[rows].astype(np.int64), column.begin[rows + 1].astype(np.int64)
    size = end - begin
    first = np.cumsum(size) - size
    which = np.arange(int(size.sum())) - np.repeat(first - begin, size)
    entries = {
        name: NullableColumn(_chosen(entry.values, which), entry.there[which])
        if isinstance(entry, NullableColumn)
        else _chosen(entry, which)
        for name, entry in column.entries.items()
    }
    return ListColumn(np.append(first, int(size.sum())).astype(np.int32), entries)


def _chosen(column: Any, rows: Int64s) -> Any:
    if isinstance(column, TextColumn):
        return TextColumn(column.data, column.start[rows], column.length[rows])
    return column[rows]
