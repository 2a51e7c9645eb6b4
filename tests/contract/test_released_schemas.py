"""What has been released stays readable: schemas/released/<release>/<name>.avsc against schemas/avro."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from connectors.registry.compatibility import incompatibilities, parse_avro
from schemas.topics import avro_schema, topics

SCHEMAS = sorted({topic.schema_name for topic in topics().values() if topic.schema_name})


def released(name: str) -> list[tuple[str, str]]:
    """Release and text of every released version of a schema, oldest first."""
    releases = sorted(
        (r for r in files("schemas").joinpath("released").iterdir() if r.is_dir()), key=lambda r: int(r.name)
    )
    versions = [(f"release {release.name}", release.joinpath(f"{name}.avsc")) for release in releases]
    return [(label, file.read_text("utf-8")) for label, file in versions if file.is_file()]


def levels(name: str) -> set[str]:
    return {topic.compatibility for topic in topics().values() if topic.schema_name == name and topic.compatibility}


def reasons(name: str, text: str) -> list[str]:
    """Why ``text`` may not be the next version of the schema."""
    earlier = [(label, parse_avro(old)) for label, old in released(name)]
    return [reason for level in levels(name) for reason in incompatibilities(level, parse_avro(text), earlier)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_fits_every_released_version(name: str) -> None:
    assert released(name), f"{name} was never released: add it with the next release (docs/schemas.md)"
    assert reasons(name, avro_schema(name)) == []


def test_every_released_schema_is_still_there() -> None:
    folder = files("schemas").joinpath("released")
    names = {file.name.removesuffix(".avsc") for release in folder.iterdir() for file in release.iterdir()}
    assert names <= set(SCHEMAS)


def test_every_schema_belongs_to_a_topic() -> None:
    assert [
        file.name.removesuffix(".avsc") for file in sorted(files("schemas").joinpath("avro").iterdir(), key=str)
    ] == SCHEMAS


def planted(name: str, change: str) -> str:
    """The present schema with a change of the kind that people make in a hurry."""
    schema = json.loads(avro_schema(name))
    fields = schema["fields"]
    match change:
        case "a field without a default":
            fields.append({"name": "added", "type": "string", "doc": "New."})
        case "a field with a default":
            fields.append({"name": "added", "type": "string", "default": "", "doc": "New."})
        case "the first field removed":
            del fields[0]
        case "the first field renamed":
            fields[0]["name"] = "renamed"
        case "the first field a number":
            fields[0]["type"] = "long"
        case "the record renamed":
            schema["name"] = "Renamed"
    return json.dumps(schema)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("a field without a default", ".added has no default"),
        ("the first field renamed", ".renamed has no default"),
        ("the first field a number", "is read as long, but string was written"),
        ("the record renamed", "is read as record friction.Renamed"),
    ],
)
def test_a_change_that_breaks_a_reader_is_refused(name: str, change: str, reason: str) -> None:
    assert any(reason in said for said in reasons(name, planted(name, change)))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_removed_field_is_refused_where_subscribers_need_it(name: str) -> None:
    said = reasons(name, planted(name, "the first field removed"))
    assert bool(said) is ("FULL_TRANSITIVE" in levels(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_field_with_a_default_may_be_added(name: str) -> None:
    assert reasons(name, planted(name, "a field with a default")) == []


def test_inputs_are_backward_and_outputs_fully_compatible() -> None:
    assert {name: levels(name) for name in SCHEMAS} == {
        name: {"BACKWARD_TRANSITIVE" if name == "interaction" else "FULL_TRANSITIVE"} for name in SCHEMAS
    }


def parts(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record and field of a schema, with its place."""
    if isinstance(schema, list):
        for branch in schema:
            yield from parts(branch, where)
    elif isinstance(schema, dict):
        for part in ("items", "values"):
            yield from parts(schema.get(part), where)
        if "fields" in schema:
            yield where, schema
        for field in schema.get("fields", ()):
            yield f"{where}.{field['name']}", field
            yield from parts(field["type"], f"{where}.{field['name']}")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_record_and_field_says_what_it_means(name: str) -> None:
    undocumented = [where for where, part in parts(json.loads(avro_schema(name)), name) if not part.get("doc")]
    assert undocumented == []


def test_a_field_without_a_doc_would_be_found() -> None:
    nested = {"type": "record", "doc": "x", "fields": [{"name": "inner", "type": "int"}]}
    outer = {"type": "record", "fields": [{"name": "outer", "doc": "x", "type": ["null", {"items": nested}]}]}
    assert [where for where, part in parts(outer, "root") if not part.get("doc")] == ["root", "root.outer.inner"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_types_and_kinds_are_strings_so_that_new_ones_do_not_break_old_readers(name: str) -> None:
    text = avro_schema(name)
    assert '"enum"' not in text
    for where, part in parts(json.loads(text), name):
        if where.rpartition(".")[2] in ("type", "kind", "status", "band", "channel"):
            assert part["type"] in ("string", ["null", "string"]), where
