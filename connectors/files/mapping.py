"""A mapping: which columns of a file are which fields of an interaction. Read from TOML, checked, frozen.

Errors are MappingError and name file, key and what is allowed: ``calls.toml fields.duration_ms.unit: must be 'ms', 's',
'min', 'h' or 'hms', got 'sec'``.
"""

import reprlib
import tomllib
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from connectors.files.transcoding import known_encoding
from schemas.errors import MappingError
from schemas.zones import zone_name

TEXT_FIELDS = (
    "event_id", "customer_id", "kind", "channel", "touchpoint", "session_id", "case_id", "subject", "currency",
    "segment", "source",
)  # fmt: skip
NUMBER_FIELDS = ("amount", "rating", "sentiment")
TIME_FIELDS = ("occurred_at", "appended_at")
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS, *TIME_FIELDS, "duration_ms", "reach")
REQUIRED = ("customer_id", "kind", "occurred_at")
ATTRIBUTES = "attributes"


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _column_alone(said: Any) -> Any:
    return {"column": said} if isinstance(said, str) else said


def _listed(said: Any) -> Any:
    return [said] if isinstance(said, str) else said


def _a_time(form: str) -> str:
    if "%Z" in form.replace("%%", ""):
        raise ValueError(
            f"%Z reads a name of a zone and forgets it: write the name itself, such as {form.replace('%Z', 'UTC')!r}, "
            "and zone = 'UTC'"
        )
    if "%" not in form:
        raise ValueError(f"must be a format of strptime such as '%d.%m.%Y %H:%M', got {form!r}")
    return form


Scalar = str | int | float | bool
Zone = Annotated[str, AfterValidator(zone_name)]
Decimal = Literal[".", ","]
Epoch = Literal["s", "ms", "us", "ns"]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed), Field(min_length=1)]


class _Taken(_Said):
    """A value from a column, or a constant."""

    column: Names | None = None
    value: Scalar | None = None
    default: Scalar | None = None
    values: dict[str, Scalar] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> "_Taken":
        if (self.column is None) == (self.value is None):
            raise ValueError("must have a column or a value, and not both")
        if self.value is not None and (self.values or self.default is not None):
            raise ValueError("has a value, so values and default mean nothing")
        return self


class TextField(_Taken):
    """Several columns are joined, and a prefix stands before what comes from a column."""

    join: str = " "
    prefix: str = ""


class NumberField(_Taken):
    """A number."""

    decimal: Decimal | None = None


class DurationField(_Taken):
    """A duration in a unit."""

    unit: Literal["ms", "s", "min", "h", "hms"] = "ms"
    decimal: Decimal | None = None


class WrittenTime(_Taken):
    """How a time is written, and how long before or after it is meant."""

    format: Annotated[Name, AfterValidator(_a_time)] | None = None
    zone: Zone | None = None
    plus: Annotated[DurationField, BeforeValidator(_column_alone)] | None = None
    minus: Annotated[DurationField, BeforeValidator(_column_alone)] | None = None


class TimeField(WrittenTime):
    """A time; several columns, such as a date and a time, are joined by a blank."""

    epoch: Epoch = "ms"


class AttributeField(TextField, WrittenTime):
    """A text, or a time as soon as it says how times are written: that is told as RFC 3339, in UTC."""

    epoch: Epoch | None = None

    @model_validator(mode="after")
    def _text_or_time(self) -> "AttributeField":
        if self.time is not None and (self.prefix or self.join != " "):
            raise ValueError("is a time, so prefix and join mean nothing")
        return self

    @property
    def time(self) -> TimeField | None:
        """The time that it is, None of a text."""
        how = {key: getattr(self, key) for key in ("format", "zone", "epoch", "plus", "minus") if getattr(self, key)}
        if not how:
            return None
        return TimeField(column=self.column, value=self.value, default=self.default, values=self.values, **how)


Text = Annotated[TextField, BeforeValidator(_column_alone)]
Number = Annotated[NumberField, BeforeValidator(_column_alone)]
Time = Annotated[TimeField, BeforeValidator(_column_alone)]
Attribute = Annotated[AttributeField, BeforeValidator(_column_alone)]
FieldSpec = TextField | NumberField | DurationField | TimeField
When = dict[Name, Names]
Columns = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


class FieldSet(_Said):
    """Fields of an interaction; those that are not named come from the column of their own name, if there is one."""

    event_id: Text | None = None
    customer_id: Text | None = None
    kind: Text | None = None
    channel: Text | None = None
    touchpoint: Text | None = None
    occurred_at: Time | None = None
    session_id: Text | None = None
    case_id: Text | None = None
    subject: Text | None = None
    duration_ms: Annotated[DurationField, BeforeValidator(_column_alone)] | None = None
    amount: Number | None = None
    currency: Text | None = None
    rating: Number | None = None
    sentiment: Number | None = None
    reach: Number | None = None
    segment: Text | None = None
    source: Text | None = None
    appended_at: Time | None = None
    attributes: dict[Name, Attribute] = Field(default_factory=dict)

    def named(self) -> dict[str, FieldSpec]:
        """The fields that are named, without the attributes."""
        said = {name: getattr(self, name) for name in FIELDS}
        return {name: spec for name, spec in said.items() if spec is not None}


class InteractionTable(FieldSet):
    """One interaction of a row.

    when: only of rows where each of the columns has one of the texts; filled: has any; unless: has none of the texts.
    """

    when: When = Field(default_factory=dict)
    unless: When = Field(default_factory=dict)
    filled: Columns = ()


class MappingFile(_Said):
    """The whole file. files: patterns of the names of those that it is for. empty: texts that say nothing."""

    files: Columns = ()
    format: Literal["jsonl", "csv", "parquet"] | None = None
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    encoding: Annotated[str, AfterValidator(known_encoding)] = "utf-8"
    zone: Zone | None = None
    decimal: Decimal = "."
    rest: Literal["attributes", "ignore"] | None = None
    empty: Names = ()
    when: When = Field(default_factory=dict)
    unless: When = Field(default_factory=dict)
    filled: Columns = ()
    fields: FieldSet = Field(default_factory=FieldSet)
    interaction: tuple[InteractionTable, ...] = ()


class Mapping:
    """A checked mapping. ``name``: of its file, empty for the natural shape."""

    def __init__(self, file: MappingFile, name: str = "") -> None:
        self.file = file
        self.name = name
        self.zone = None if file.zone is None else ZoneInfo(file.zone)
        shaped = bool(file.interaction or file.fields.named() or file.fields.attributes)
        self.rest_is_attributes = file.rest == "attributes" or (file.rest is None and not shaped)
        self.interactions: tuple[InteractionTable, ...] = file.interaction or (InteractionTable(),)

    def is_for(self, file: str) -> bool:
        """Whether a file is to be read by it: by its name, or the end of its path."""
        return not self.file.files or any(PurePath(file).match(pattern) for pattern in self.file.files)

    def fields_of(self, table: InteractionTable) -> tuple[dict[str, FieldSpec], dict[str, AttributeField]]:
        """Fields and attributes of an interaction: its own, else those that all share."""
        shared = self.file.fields
        return {**shared.named(), **table.named()}, {**shared.attributes, **table.attributes}

    def where(self, table: InteractionTable, key: str) -> str:
        """File and key in which a field of a table is said, for messages."""
        own = getattr(table, key.split(".", maxsplit=1)[0], None)
        if not own or table not in self.file.interaction:
            return f"{self.name} fields.{key}"
        return f"{self.name} interaction.{self.file.interaction.index(table)}.{key}"


NATURAL = Mapping(MappingFile())


def load_mapping(path: Path) -> Mapping:
    """Return the mapping of a file.

    Raises:
        MappingError: it cannot be read, is no TOML, or cannot mean what it says; the first five errors, a line each.
    """
    try:
        said = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise MappingError(f"the mapping {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MappingError(f"the mapping {path} is not UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{path.name} is no TOML: {error}") from error
    try:
        return Mapping(MappingFile.model_validate(said), path.name)
    except ValidationError as error:
        raise MappingError("\n".join(_told(path.name, one) for one in error.errors()[:5])) from error


def _told(name: str, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part != "[key]") or "the mapping"
    kind, message = error["type"], str(error["msg"])
    if key == "interaction":
        return f"{name} {key}: must be tables, each of which begins with [[interaction]]"
    if kind == "value_error":
        return f"{name} {key}: {message.removeprefix('Value error, ')}"
    if kind == "extra_forbidden":
        return f"{name} {key}: is unknown{_allowed(error['loc'])}"
    rule = {
        "missing": "is missing",
        "too_short": "must have an entry",
        "string_too_short": "must not be empty",
        "model_type": "must be a column or a table",
        "tuple_type": "must be a text or a list of texts",
    }.get(kind, message.replace("Input should be", "must be"))
    return f"{name} {key}: {rule}, got {reprlib.repr(error['input'])}"


def _allowed(where: tuple[Any, ...]) -> str:
    """The keys that may stand beside an unknown one."""
    model: Any = MappingFile
    for part in where[:-1]:
        if isinstance(part, int):
            continue
        if model is dict:
            model = AttributeField
            continue
        known = model.model_fields.get(part)
        if known is None:
            return ""
        model = _model_of(part)
    if model is dict:
        return ""
    return f"; known are {', '.join(model.model_fields)}"


def _model_of(key: str) -> Any:
    if key in TEXT_FIELDS:
        return TextField
    if key in TIME_FIELDS:
        return TimeField
    if key in {"duration_ms", "plus", "minus"}:
        return DurationField
    return {"fields": FieldSet, "interaction": InteractionTable, "attributes": dict}.get(key, NumberField)
