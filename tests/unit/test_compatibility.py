import io
import json
from typing import Any

import avro.compatibility
import avro.schema
import fastavro
import fastavro.utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.registry.compatibility import InvalidSchema, incompatibilities, parse_avro, unreadable

# --- verdicts that a person can check ---------------------------------------------------------------------


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Order", "fields": list(fields), **more}


def field(name: str, of: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of, **more}


def why_not(reader: Any, writer: Any) -> list[str]:
    return unreadable(parse_avro(json.dumps(reader)), parse_avro(json.dumps(writer)))


ENUM = {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
LIST = {"type": "record", "name": "List", "fields": [field("next", ["null", "List"]), field("value", "int")]}

READABLE: dict[str, tuple[Any, Any]] = {
    "a field that is not read": (record(), record(field("id", "int"))),
    "a new field with a default": (record(field("id", "int", default=0)), record()),
    "int as long": (record(field("id", "long")), record(field("id", "int"))),
    "int as double": ("double", "int"),
    "string as bytes": ("bytes", "string"),
    "a field made optional": (record(field("id", ["null", "int"])), record(field("id", "int"))),
    "a branch added to a union": (["null", "int", "string"], ["null", "int"]),
    "a renamed field with an alias": (record(field("number", "int", aliases=["id"])), record(field("id", "int"))),
    "a renamed record with an alias": (record(aliases=["Purchase"]), record(name="Purchase")),
    "another namespace": (record(namespace="new"), record(namespace="old")),
    "an unknown symbol with a default": ({**ENUM, "symbols": ["A"], "default": "A"}, ENUM),
    "fields in another order": (
        record(field("a", "int"), field("b", "string")),
        record(field("b", "string"), field("a", "int")),
    ),
    "plain long as a timestamp": (MILLIS, "long"),
    "a recursive type that grew": (
        {**LIST, "fields": [*LIST["fields"], field("label", "string", default="")]},
        LIST,
    ),
}
UNREADABLE: dict[str, tuple[Any, Any, str]] = {
    "a new field without a default": (
        record(field("id", "int")),
        record(),
        "Order.id has no default, and it was not written",
    ),
    "long as int": (
        record(field("id", "int")),
        record(field("id", "long")),
        "Order.id is read as int, but long was written",
    ),
    "a field that is no longer optional": (
        record(field("id", "int")),
        record(field("id", ["null", "int"])),
        "Order.id is read as int, but null was written",
    ),
    "a branch removed from a union": (
        record(field("id", ["null", "int"])),
        record(field("id", ["null", "string"])),
        "Order.id is read as null or int, but string was written",
    ),
    "within a branch of a union": (
        ["null", record(field("id", "int"))],
        record(),
        "Order.id has no default, and it was not written",
    ),
    "a record of another name": (record(), record(name="Purchase"), "is read as record Order, but record Purchase"),
    "a symbol that the reader lacks": (
        {**ENUM, "symbols": ["A"]},
        ENUM,
        "enum Kind does not know the symbols B and has no default",
    ),
    "a fixed of another size": (
        {"type": "fixed", "name": "Key", "size": 16},
        {"type": "fixed", "name": "Key", "size": 8},
        "fixed Key has 16 bytes, but 8 were written",
    ),
    "within an array": (
        record(field("ids", {"type": "array", "items": "int"})),
        record(field("ids", {"type": "array", "items": "string"})),
        "Order.ids[] is read as int, but string was written",
    ),
    "within a map": (
        record(field("ids", {"type": "map", "values": "int"})),
        record(field("ids", {"type": "map", "values": "string"})),
        "Order.ids{} is read as int, but string was written",
    ),
    "bytes as a string, they may be no text": ("string", "bytes", "is read as string, but bytes was written"),
    "another unit of time": (
        record(field("at", MICROS)),
        record(field("at", MILLIS)),
        "Order.at is read as logicalType timestamp-micros, but logicalType timestamp-millis was written",
    ),
    "a decimal of another scale": (
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        "scale 3, but",
    ),
    "deep in a recursive type": (
        {**LIST, "fields": [field("next", ["null", "List"]), field("value", "string")]},
        LIST,
        "List.value is read as string, but int was written",
    ),
    "an alias that fits two written fields": (
        record(field("number", "int", aliases=["id"])),
        record(field("id", "int"), field("number", "int")),
        "Order.number could be any of the written fields id, number",
    ),
}


@pytest.mark.parametrize("case", READABLE)
def test_is_readable(case: str) -> None:
    reader, writer = READABLE[case]
    assert why_not(reader, writer) == []


@pytest.mark.parametrize("case", UNREADABLE)
def test_is_not_readable_and_the_reason_names_the_field(case: str) -> None:
    reader, writer, reason = UNREADABLE[case]
    (said,) = why_not(reader, writer)
    assert reason in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ('{"type": "record", "name": "Order"', "delimiter"),
        ('{"type": "recrod", "name": "Order", "fields": []}', "recrod"),
        ('{"type": "record", "fields": []}', "name"),
        ('{"type": "array"}', "items"),
        ('{"type": {"type": "int"}}', "wrong type"),
        ('"Order"', "Order"),
        ('["int", ["null"]]', "union within a union"),
        ('["int", "int"]', "same type twice"),
        (json.dumps(record(field("a", "int"), field("a", "int"))), "more than one field"),
        (json.dumps(record(field("a", "int"), field("b", "int", aliases=["a"]))), "name or alias a"),
        (json.dumps(record(field("a", "int", default="x"))), "Default value"),
        (json.dumps({**ENUM, "default": "C"}), "must be in symbols"),
        ('"' + "\ud800" + '"', "surrogates"),
        ("[" * 100_000, "too deeply"),
    ],
)
def test_what_is_no_schema_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidSchema, match=reason):
        parse_avro(text)


# --- levels -----------------------------------------------------------------------------------------------

V1 = parse_avro(json.dumps(record(field("id", "int"))))
V2 = parse_avro(json.dumps(record(field("id", "int"), field("note", "string", default=""))))
WITHOUT_DEFAULT = parse_avro(json.dumps(record(field("id", "int"), field("note", "string"))))
WITHOUT_ID = parse_avro(json.dumps(record(field("note", "string", default=""))))
NOT_GIVEN = "Order.{} has no default, and it was not written: give it one"
EARLIER = [("version 1", V1), ("version 2", V2)]


@pytest.mark.parametrize(
    ("level", "new", "accepted"),
    [
        ("NONE", WITHOUT_DEFAULT, True),
        ("BACKWARD", WITHOUT_DEFAULT, True),  # version 2 has the field
        ("BACKWARD_TRANSITIVE", WITHOUT_DEFAULT, False),  # version 1 has not
        ("FORWARD_TRANSITIVE", WITHOUT_DEFAULT, True),
        ("BACKWARD_TRANSITIVE", WITHOUT_ID, True),
        ("FORWARD", WITHOUT_ID, False),  # older readers need the field
        ("FULL", WITHOUT_DEFAULT, True),
        ("FULL_TRANSITIVE", WITHOUT_DEFAULT, False),
        ("FULL_TRANSITIVE", WITHOUT_ID, False),
        ("FULL_TRANSITIVE", V1, True),
    ],
)
def test_a_level_says_which_way_and_how_far_back(level: str, new: Any, accepted: bool) -> None:
    assert (incompatibilities(level, new, EARLIER) == []) is accepted


def test_a_reason_says_who_cannot_read_whom() -> None:
    assert incompatibilities("FULL_TRANSITIVE", WITHOUT_DEFAULT, EARLIER) == [
        f"the new schema cannot read what version 1 wrote: {NOT_GIVEN.format('note')}"
    ]
    assert incompatibilities("FORWARD", WITHOUT_ID, EARLIER) == [
        "version 2 cannot read what the new schema writes: Order.id has no default, and it was not written: give it one"
    ]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown compatibility level SIDEWAYS"):
        incompatibilities("SIDEWAYS", V1, EARLIER)


# --- the law: compatible is never "cannot be read" ---------------------------------------------------------
# Schemas are drawn as trees and named by their place, so that a changed copy keeps the names it shares.

NUMBERS = ["int", "long", "float", "double"]
ADDED = [("int", 7), ("string", "x"), (["null", "string"], None), ({"type": "array", "items": "int"}, [])]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Any:
    leaves = ["null", "boolean", *NUMBERS, "string", "bytes", "enum", "fixed"]
    shape = draw(st.sampled_from(leaves if depth == 0 else [*leaves, "array", "map", "union", "record", "record"]))
    match shape:
        case "array" | "map":
            return (shape, draw(trees(depth - 1)))
        case "union":
            branches = draw(st.lists(trees(0), min_size=1, max_size=3, unique_by=_kind))
            return (shape, branches)
        case "record":
            names = draw(st.lists(st.sampled_from("abcd"), max_size=3, unique=True))
            return (shape, [(name, draw(trees(depth - 1)), None) for name in names])
        case "enum":
            return (shape, draw(st.lists(st.sampled_from("XYZ"), min_size=1, unique=True)), draw(st.booleans()))
        case "fixed":
            return (shape, draw(st.integers(1, 2)))
        case _:
            return (shape,)


@st.composite
def changed(draw: st.DrawFn, tree: Any) -> Any:
    """The tree after some of the changes that people make to schemas, good and bad."""
    match draw(st.sampled_from(["keep", "replace", "optional", "own", "own", "own"])), tree:
        case "replace", _:
            return draw(trees(1))
        case "optional", (kind, *_) if kind not in ("union", "null"):
            return ("union", [("null",), tree])
        case "own", (kind,):
            return (draw(st.sampled_from([*NUMBERS, "string"] if kind in NUMBERS else [kind, "bytes"])),)
        case "own", ("union", branches):
            kept = draw(st.permutations(branches))[: draw(st.integers(1, 3))]
            return ("union", kept) if draw(st.booleans()) else kept[0]
        case "own", ("enum", symbols, default):
            return ("enum", [*symbols[draw(st.integers(0, 1)) :], "W"], default)
        case "own", ("fixed", size):
            return ("fixed", draw(st.integers(1, size + 1)))
        case _, ("array" | "map" as kind, part):
            return (kind, draw(changed(part)))
        case _, ("record", fields):
            kept = [(n, draw(changed(of)), d) for n, of, d in fields if draw(st.integers(0, 5))]
            if draw(st.booleans()):
                of, default = draw(st.sampled_from(ADDED))
                kept.append(("added", ("json", of), draw(st.sampled_from([(default,), (default,), None]))))
            return ("record", draw(st.permutations(kept)))
        case _:
            return tree


def _kind(tree: Any) -> str:
    return str(tree[0])


def rendered(tree: Any, place: str = "root") -> Any:
    match tree:
        case ("json", of):
            return of
        case ("array", part):
            return {"type": "array", "items": rendered(part, f"{place}_i")}
        case ("map", part):
            return {"type": "map", "values": rendered(part, f"{place}_v")}
        case ("union", branches):
            return [rendered(branch, place) for branch in branches]
        case ("record", fields):
            return {
                "type": "record",
                "name": f"{place}_r",
                "fields": [
                    {"name": name, "type": rendered(of, f"{place}_{name}")} | ({"default": d[0]} if d else {})
                    for name, of, d in fields
                ],
            }
        case ("enum", symbols, default):
            more = {"default": symbols[0]} if default else {}
            return {"type": "enum", "name": f"{place}_e", "symbols": symbols, **more}
        case ("fixed", size):
            return {"type": "fixed", "name": f"{place}_f", "size": size}
        case _:
            return tree[0]


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[Any, Any]:
    """Writer's and reader's schema, the one changed into the other."""
    writer = ("record", [(name, draw(trees(2)), None) for name in "abc"[: draw(st.integers(1, 3))]])
    return rendered(writer), rendered(draw(changed(writer)))


@given(evolutions())
@settings(max_examples=400, deadline=None)
def test_what_is_called_readable_is_read_by_fastavro(schemas: tuple[Any, Any]) -> None:
    writer, reader = schemas
    if why_not(reader, writer):
        return
    written, read = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    for value in fastavro.utils.generate_many(written, 6):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, written, value)
        end = body.tell()
        body.seek(0)
        again = fastavro.schemaless_reader(body, written, read)
        assert body.tell() == end
        assert fastavro.validate(again, read)


@given(evolutions())
@settings(max_examples=400, deadline=None)
def test_the_avro_package_gives_the_same_verdict(schemas: tuple[Any, Any]) -> None:
    writer, reader = schemas
    if "bytes" in json.dumps(writer) and "string" in json.dumps(reader):
        return  # we refuse to read bytes as a string, the specification does not
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # half typed
    theirs = checker.get_compatibility(avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer)))
    compatible = avro.compatibility.SchemaCompatibilityType.compatible
    assert (why_not(reader, writer) == []) is (theirs.compatibility is compatible)


@given(evolutions())
@settings(max_examples=100, deadline=None)
def test_a_schema_reads_what_it_wrote(schemas: tuple[Any, Any]) -> None:
    for schema in schemas:
        if "bytes" not in json.dumps(schema):
            assert why_not(schema, schema) == []
