"""Mappings: columns with other names, units, zones and words become interactions; errors say what is allowed."""

import importlib.util
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files.mapping import load_mapping
from schemas.errors import InputUnreadable, MappingError
from tests.event_files import mapped, read, written

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"

CALLS = """
zone = "Europe/Istanbul"
decimal = ","
[fields]
customer_id = "CallerId"
channel = {value = "phone"}
touchpoint = {column = "Queue", prefix = "call/"}
occurred_at = {column = ["Date", "Time"], format = "%d.%m.%Y %H:%M:%S"}
duration_ms = {column = "WaitSec", unit = "s"}
kind = {value = "wait.measured"}
source = {value = "acd"}
[fields.attributes]
stage = {value = "queue"}
outcome = {column = "Result", values = {ANS = "answered", ABN = "abandoned"}}
"""
CALLS_CSV = [
    "CallerId;Queue;Date;Time;WaitSec;Result;Agent",
    "ana;support;01.03.2026;09:30:00;34,3;ANS;x",
    "bea;support;29.03.2026;03:30:00;12.5;ABN;y",
    "çağla;sales;01.07.2026;09:30:00;;ABN;z",
    "dan;sales;01.07.2026;09:30:00;1;LOST;z",
]


def test_a_call_centre_csv_becomes_waits(tmp_path: Path) -> None:
    found = read(written(tmp_path / "calls.csv", CALLS_CSV), mapping=mapped(tmp_path, CALLS))
    ana = {
        "customer_id": "ana",
        "kind": "wait.measured",
        "channel": "phone",
        "touchpoint": "call/support",
        "occurred_at": 1_772_346_600_000,
        "duration_ms": 34_300,
        "source": "acd",
        "attributes": {"outcome": "answered", "stage": "queue"},
    }
    rows = [{k: v for k, v in row.items() if k != "event_id"} for row in found.rows]
    cagla = {**ana, "customer_id": "çağla", "touchpoint": "call/sales", "occurred_at": 1_782_887_400_000}
    del cagla["duration_ms"]
    assert rows == [ana, {**cagla, "attributes": {"outcome": "abandoned", "stage": "queue"}}]
    assert [(r.line, r.reason) for r in found.rejected] == [
        (3, "duration_ms '12.5' has a point, and the mapping says decimal = ','"),
        (5, "Result 'LOST' is none of ANS, ABN (attributes.outcome)"),
    ]


def test_times_of_two_zones_and_of_hours_that_do_not_exist_or_come_twice(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
        zone = "America/New_York"
        [fields]
        occurred_at = {column = "at", zone = "Europe/Berlin"}
        appended_at = {column = "told"}
        """,
    )
    lines = ["customer_id,kind,at,told", "a,k,2026-10-25T02:30:00,2026-03-01 00:00:00", "b,k,2026-03-29 02:30:00,"]
    found = read(written(tmp_path / "a.csv", [*lines, "c,k,2026-07-01T12:00:00+03:00,"]), mapping=mapping)
    assert [r["occurred_at"] for r in found.rows] == [1_792_888_200_000, 1_782_896_400_000]
    assert found.parts[0].appended_ms is not None
    assert found.parts[0].appended_ms.tolist() == [1_772_341_200_000, 1_782_896_400_000]
    assert [r.reason for r in found.rejected] == [
        "occurred_at 2026-03-29 02:30:00 does not exist in Europe/Berlin: clocks were put forward"
    ]


@pytest.mark.parametrize(
    ("spec", "text", "ms"),
    [
        ('{column = "d", unit = "s"}', "1.5", 1500),
        ('{column = "d", unit = "min"}', "2", 120_000),
        ('{column = "d", unit = "h"}', "0.5", 1_800_000),
        ('{column = "d", unit = "hms"}', "1:02:03", 3_723_000),
        ('{column = "d", unit = "hms"}', "75:30", 4_530_000),
        ('{column = "d", unit = "s", decimal = ","}', "1,5", 1500),
        ('"d"', "1500", 1500),
        ("{value = 7}", "", 7),
        ('{column = "d", default = 9}', "", 9),
    ],
)
def test_durations_have_a_unit(tmp_path: Path, spec: str, text: str, ms: int) -> None:
    lines = ["customer_id;kind;occurred_at;d", f"a;k;0;{text}"]
    found = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, f"[fields]\nduration_ms = {spec}"))
    assert [r.get("duration_ms") for r in found.rows] == [ms], found.rejected


def test_a_clock_of_more_than_59_seconds_is_none(tmp_path: Path) -> None:
    lines = ["customer_id;kind;occurred_at;d", "a;k;0;0:75", "b;k;0;0:59.5"]
    mapping = mapped(tmp_path, '[fields]\nduration_ms = {column = "d", unit = "hms"}')
    found = read(written(tmp_path / "a.csv", lines), mapping=mapping)
    assert [r["duration_ms"] for r in found.rows] == [59_500]
    assert "duration_ms must be like 1:02:03 or 2:03, got '0:75'" in str(found.rejected)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ('{column = "t", epoch = "s"}', "1772346600"),
        ('{column = "t", epoch = "s"}', "1772346600.0"),
        ('{column = "t", epoch = "s"}', "1772346600.0007"),
        ('{column = "t", epoch = "us"}', "1772346600000000"),
        ('{column = "t", epoch = "us"}', "1772346600000999.5"),
        ('{column = "t", epoch = "ns"}', "1772346600000000000"),
        ('{column = "t", epoch = "ns"}', "1772346600000999999"),
        ('{column = "t", format = "%d %b %Y %I:%M %p %z"}', "01 Mar 2026 09:30 AM +0300"),
        ('{column = "t", format = "%Y%m%d%H%M%S", zone = "UTC"}', "20260301063000"),
        ('{column = "t", minus = {column = "w", unit = "min"}}', "2026-03-01T06:40:00Z"),
        ('{column = "t", plus = {column = "w", unit = "s"}}', "2026-03-01T06:29:50Z"),
    ],
)
def test_times_have_a_format(tmp_path: Path, spec: str, text: str) -> None:
    lines = ["customer_id;kind;t;w", f"a;k;{text};10"]
    found = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, f"[fields]\noccurred_at = {spec}"))
    assert [r["occurred_at"] for r in found.rows] == [1_772_346_600_000], found.rejected


@pytest.mark.parametrize(
    ("spec", "text", "told"),
    [
        ('{column = "d", format = "%d/%m/%Y %I:%M %p"}', "29/07/2026 02:05 PM", "2026-07-29T11:05:00.000Z"),
        ('{column = "d", zone = "America/Sao_Paulo"}', "2026-07-29 00:00:00", "2026-07-29T03:00:00.000Z"),
        ('{column = "d", epoch = "s"}', "1772346600.5", "2026-03-01T06:30:00.500Z"),
        ('{column = "at", plus = {column = "d", unit = "h"}}', "48", "2026-03-03T06:30:00.000Z"),
        ('{column = "d", zone = "UTC"}', "2026-07-29T12:00:00+03:00", "2026-07-29T09:00:00.000Z"),
        ('{column = "d", zone = "UTC"}', "", None),
        ('"d"', "2026-07-29 00:00:00", "2026-07-29 00:00:00"),
    ],
)
def test_an_attribute_is_a_time_when_it_says_how_times_are_written(
    tmp_path: Path, spec: str, text: str, told: str | None
) -> None:
    """A deadline is one: the core takes RFC 3339 with an offset alone."""
    toml = f'zone = "Europe/Istanbul"\n[fields]\noccurred_at = "at"\nattributes = {{deadline = {spec}}}'
    path = written(tmp_path / "a.csv", ["customer_id;kind;at;d", f"a;k;2026-03-01T06:30:00Z;{text}"])
    (row,) = read(path, mapping=mapped(tmp_path, toml)).rows
    assert row.get("attributes", {}).get("deadline") == told


def test_an_attribute_that_should_be_a_time_and_is_none_rejects_its_row(tmp_path: Path) -> None:
    toml = '[fields.attributes]\ndeadline = {column = "d", format = "%d.%m.%Y", zone = "UTC"}'
    path = written(tmp_path / "a.csv", ["customer_id;kind;occurred_at;d", "a;k;0;soon", "b;k;0;02.03.2026"])
    found = read(path, mapping=mapped(tmp_path, toml))
    assert [r["customer_id"] for r in found.rows] == ["b"]
    assert [r.reason for r in found.rejected] == ["attributes.deadline must be like %d.%m.%Y, got 'soon'"]


@pytest.mark.parametrize("day", ["31/02/2026", "29/02/2023", "31/04/2026", "0/03/2026", "01/13/2026"])
def test_a_day_that_does_not_exist_is_no_other_day(tmp_path: Path, day: str) -> None:
    toml = 'zone = "UTC"\n[fields]\noccurred_at = {column = "t", format = "%d/%m/%Y %H:%M"}'
    lines = ["customer_id;kind;t", f"a;k;{day} 10:00", "a;k;1/3/2026 6:30", "a;k;01/03/2026 06:30", "a;k;"]
    found = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, toml))
    assert [r["occurred_at"] for r in found.rows] == [1_772_346_600_000] * 2
    assert [(r.line, day in r.reason) for r in found.rejected] == [(2, True), (5, False)]


@pytest.mark.parametrize(("epoch", "unit_us"), [("s", "1e6"), ("ms", "1e3"), ("us", "1"), ("ns", "1e-3")])
def test_numbers_are_cut_to_the_millisecond_that_they_name(tmp_path: Path, epoch: str, unit_us: str) -> None:
    """However they are written: 1772346600.123 as a double lies a little before that millisecond."""
    us = [1_772_346_600_000_000 + 1_000 * n + n % 7 for n in range(1_000)]
    toml = f'[fields]\noccurred_at = {{column = "t", epoch = "{epoch}"}}'
    counted = [Decimal(t) / Decimal(unit_us) for t in us]
    columns = [pa.array([float(t) for t in counted]), pa.array([f"{t:f}" for t in counted])]
    if epoch in {"us", "ns"}:
        columns.append(pa.array([int(t) for t in counted]))
    for n, told in enumerate(columns):
        names = pa.array(["a"] * len(us))
        pq.write_table(pa.table({"customer_id": names, "kind": names, "t": told}), tmp_path / f"{n}.parquet")
        found = read(tmp_path / f"{n}.parquet", mapping=mapped(tmp_path, toml))
        assert [r["occurred_at"] for r in found.rows] == [t // 1_000 for t in us], found.rejected[:1]


def test_a_time_that_is_none_is_told_with_what_numbers_count(tmp_path: Path) -> None:
    toml = '[fields]\noccurred_at = {column = "t", epoch = "s"}'
    found = read(written(tmp_path / "a.csv", ["customer_id;kind;t", "a;k;soon"]), mapping=mapped(tmp_path, toml))
    (reason,) = [r.reason for r in found.rejected]
    assert reason.endswith("or epoch seconds, got 'soon'; a mapping with a format reads other times")


def test_a_number_of_a_time_may_have_a_decimal_comma(tmp_path: Path) -> None:
    toml = 'decimal = ","\n[fields]\noccurred_at = {column = "t", epoch = "s"}'
    found = read(
        written(tmp_path / "a.csv", ["customer_id;kind;t", "a;k;1772346600,25"]), mapping=mapped(tmp_path, toml)
    )
    assert [r["occurred_at"] for r in found.rows] == [1_772_346_600_250], found.rejected


TICKETS = """
when = {Type = ["incident", "question"]}
[fields]
event_id = "Id"
customer_id = "requester.email"
case_id = "Id"
channel = "via"
[[interaction]]
kind = {value = "contact.opened"}
occurred_at = "created"
[[interaction]]
kind = {value = "contact.resolved"}
occurred_at = {column = "created", plus = {column = "solved_after_h", unit = "h"}}
when = {status = "solved"}
"""


def test_a_row_may_be_several_interactions_and_a_filter_leaves_rows_out(tmp_path: Path) -> None:
    ticket: dict[str, Any] = {"Id": 1, "Type": "incident", "requester": {"email": "ana"}, "created": 0, "via": "email"}
    lines = [
        {**ticket, "status": "solved", "solved_after_h": 2},
        {**ticket, "Id": 2, "Type": "task"},
        {**ticket, "Id": 3, "status": "open", "created": 5},
    ]
    found = read(written(tmp_path / "tickets.jsonl", lines), mapping=mapped(tmp_path, TICKETS))
    assert [(r["event_id"], r["kind"], r["occurred_at"], r["customer_id"], r["case_id"]) for r in found.rows] == [
        ("1", "contact.opened", 0, "ana", "1"),
        ("1#2", "contact.resolved", 7_200_000, "ana", "1"),
        ("3", "contact.opened", 5, "ana", "3"),
    ]
    assert (found.skipped, found.rejected) == (1, [])
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "tickets.parquet")
    assert read(tmp_path / "tickets.parquet", mapping=mapped(tmp_path, TICKETS)).rows == found.rows


def test_texts_that_say_nothing_are_empty_and_some_rows_are_left_out(tmp_path: Path) -> None:
    toml = """
empty = ["NULL", "\\\\N"]
unless = {customer_id = ["0"], channel = ["test"]}
"""
    lines = [
        "customer_id,kind,occurred_at,channel,subject,amount",
        "ana,order.placed,1000,web,NULL,\\N",
        "0,order.placed,2000,web,a,1",
        "ali,order.placed,3000,test,a,1",
        "NULL,order.placed,4000,web,a,1",
        "çağla,order.placed,5000,,a,7",
    ]
    found = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, toml))
    assert [(r["customer_id"], r.get("subject"), r.get("amount")) for r in found.rows] == [
        ("ana", None, None),
        ("çağla", "a", 7),
    ]
    assert [one.line for one in found.rejected] == [5]
    assert found.skipped == 2


def test_a_column_that_comes_twice_matters_only_to_who_asks_for_it(tmp_path: Path) -> None:
    lines = ["key,Reporter,Created,Comment,Comment", "1,ana,1000,a,b"]
    toml = '[fields]\ncustomer_id = "Reporter"\noccurred_at = "Created"\nkind = {value = "contact.opened"}\n'
    found = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, toml))
    assert [r["customer_id"] for r in found.rows] == ["ana"]
    second = read(tmp_path / "a.csv", mapping=mapped(tmp_path, toml + 'subject = "Comment (2)"\n'))
    assert [r["subject"] for r in second.rows] == ["b"]
    with pytest.raises(InputUnreadable, match="names a column twice: Comment; give one of them another name"):
        read(tmp_path / "a.csv", mapping=mapped(tmp_path, toml + 'subject = "Comment"\n'))


def test_a_mapping_of_what_is_natural_already_only_says_how_it_is_written(tmp_path: Path) -> None:
    lines = ["customer_id;kind;occurred_at;amount;shop", "a;k;2026-03-01 09:30:00;12,5;x"]
    text = 'decimal = ","\nzone = "Europe/Istanbul"\n'
    (row,) = read(written(tmp_path / "a.csv", lines), mapping=mapped(tmp_path, text)).rows
    assert (row["amount"], row["occurred_at"], row["attributes"]) == (12.5, 1_772_346_600_000, {"shop": "x"})
    (row,) = read(tmp_path / "a.csv", mapping=mapped(tmp_path, text + 'rest = "ignore"\n')).rows
    assert "attributes" not in row


def test_the_example_of_a_call_centre_says_what_the_producer_says() -> None:
    found = read(ROOT / "tests/data/call_centre_waits.csv", mapping=load_mapping(EXAMPLES / "call_centre.toml"))
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / "send_call_centre_waits.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    sys.modules["example"] = example
    spec.loader.exec_module(example)
    sent = [example.interaction(wait, timedelta()) for wait in example.read(ROOT / "tests/data/call_centre_waits.csv")]
    assert found.rejected == []
    assert found.rows == [{**one, "occurred_at": round(one["occurred_at"].timestamp() * 1000)} for one in sent]


def test_the_example_of_a_help_desk_gives_up_to_three_interactions_of_a_ticket(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_bytes(
        "Ticket;Requester;Type;Topic;Created;Minutes to reply;Reply;Solved;Stars\n"
        "4711;ana@example.org;Incident;Rückgabe;02.03.2026 08:12;95,5;template;03.03.2026 17:40;2\n"
        "4712;bea@example.org;Question;price;01.07.2026 08:00;;;;\n"
        "4713;bea@example.org;Spam;;01.07.2026 08:00;;;;\n".encode("cp1252")
    )
    found = read(tmp_path / "tickets.csv", mapping=load_mapping(EXAMPLES / "tickets.toml"))
    assert (found.rejected, found.skipped) == ([], 1)
    assert [(r["case_id"], r["kind"], r["occurred_at"]) for r in found.rows] == [
        ("4711", "contact.opened", 1_772_435_520_000),
        ("4711", "contact.replied", 1_772_435_520_000 + 5_730_000),
        ("4711", "case.resolved", 1_772_556_000_000),
        ("4712", "contact.opened", 1_782_885_600_000),
    ]
    assert [r.get("attributes") for r in found.rows] == [None, {"reply": "automatic"}, {"question": "stars"}, None]
    assert [r.get("rating") for r in found.rows] == [None, None, 2, None]
    assert found.rows[0]["subject"] == "Rückgabe"
    assert len(set(found.ids)) == 4


def test_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("customer_id|kind|occurred_at\nŞule Güneş|k|0\n".encode("cp1254"))
    assert read(tmp_path / "a.csv").rows == []
    (row,) = read(tmp_path / "a.csv", mapping=mapped(tmp_path, 'encoding = "cp1254"')).rows
    assert row["customer_id"] == "Şule Güneş"


def test_a_column_that_a_mapping_asks_for_and_nobody_has_is_one_error(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ["customer_id;kind;occurred_at", "a;k;0"])
    for text, key in (
        ('[fields]\nduration_ms = "Wait"', "map.toml fields.duration_ms"),
        ('[fields.attributes]\nx = "Wait"', "map.toml fields.attributes.x"),
        ('[fields]\noccurred_at = {column = "occurred_at", plus = "Wait"}', "map.toml fields.occurred_at.plus"),
        ('[fields.attributes]\na = {column = "kind", plus = "Wait"}', "map.toml fields.attributes.a.plus"),
        ('[[interaction]]\nsubject = "Wait"', "map.toml interaction.0.subject"),
        ('when = {Wait = "x"}', "`when`, `unless` or `filled` of map.toml"),
        ('[[interaction]]\nfilled = "Wait"', "`when`, `unless` or `filled` of map.toml"),
    ):
        with pytest.raises(InputUnreadable) as told:
            read(path, mapping=mapped(tmp_path, text))
        said = f"has no column 'Wait', which {key} asks for; it has: customer_id, kind, occurred_at"
        assert said in str(told.value)


def test_names_of_columns_that_are_not_utf_8_are_told_with_what_to_say(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Müşteri;t\nana;0\n".encode("cp1254"))
    said = '[fields]\ncustomer_id = "Müşteri"\nkind = {value = "k"}\noccurred_at = "t"\n'
    with pytest.raises(InputUnreadable, match="which is not UTF-8: say in a mapping what it is"):
        read(path, mapping=mapped(tmp_path, said))
    assert len(read(path, mapping=mapped(tmp_path, f"encoding = 'cp1254'\n{said}")).rows) == 1


def test_what_no_row_of_json_has_is_told_once(tmp_path: Path) -> None:
    rows = [{"user": {"id": n}, "at": 0, "wait": {"s": 5}} for n in range(2)]
    paths = [written(tmp_path / f"{name}.jsonl", [row]) for name, row in zip("ab", rows, strict=True)]
    said = '[fields]\ncustomer_id = "user.id"\nkind = {value = "k"}\noccurred_at = "at"\n'
    for text, key in (
        (f'{said}duration_ms = "wait.secs"', "map.toml fields.duration_ms"),
        (f'{said}[fields.attributes]\nx = "wait.secs"', "map.toml fields.attributes.x"),
        (f'{said}[[interaction]]\nfilled = "wait.secs"\n[[interaction]]', "`when`, `unless` or `filled` of map.toml"),
    ):
        told = read(*paths, mapping=mapped(tmp_path, text))
        assert len(told.rows) == 2
        assert [w for w in told.warnings if "1973" not in w] == [
            f"no row has 'wait.secs', which {key} asks for; lists are left out, and there are: at, user.id, wait.s"
        ]


@pytest.mark.parametrize("only", ['filled = "closed"', 'when = {status = "solved"}'])
def test_a_file_of_json_in_which_nothing_is_closed_yet_is_fine(tmp_path: Path, only: str) -> None:
    text = f"""[fields]
        customer_id = "id"
        [[interaction]]
        kind = {{value = "contact.opened"}}
        occurred_at = "at"
        [[interaction]]
        kind = {{value = "case.resolved"}}
        occurred_at = "closed"
        {only}
        """
    mapping = mapped(tmp_path, text)
    first, second = written(tmp_path / "a.jsonl", [{"id": 1, "at": 0}]), written(tmp_path / "b.jsonl", [])
    assert len(read(first, mapping=mapping).rows) == 1
    written(second, [{"id": 1, "at": 0, "closed": 1, "status": "solved"}])
    told = read(first, second, mapping=mapped(tmp_path, text))
    assert [r["kind"] for r in told.rows] == ["contact.opened", "contact.opened", "case.resolved"]
    assert not [w for w in told.warnings if "no row has" in w]


def test_it_is_told_when_a_filter_leaves_every_row_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ["customer_id,kind,occurred_at,open", "a,k,0,true", "b,k,0,false"])
    told = read(path, mapping=mapped(tmp_path, 'when = {open = "True"}'))
    assert (told.rows, told.skipped) == ([], 2)
    assert told.warnings == ["all 2 rows were skipped: `when`, `unless` or `filled` of map.toml leave them out"]
    assert "skipped" not in str(read(path, mapping=mapped(tmp_path, 'when = {open = "true"}')).warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fields]\nduration_ms = {column = 'w', unit = 'sec'}", "map.toml fields.duration_ms.unit: must be 'ms', 's'"),
        ("[fields]\ncustomer = 'c'", "map.toml fields.customer: is unknown; known are event_id, customer_id, kind"),
        ("[fields]\nkind = {columns = 'c'}", "map.toml fields.kind.columns: is unknown; known are column, value"),
        ("[fields]\nkind = {}", "map.toml fields.kind: must have a column or a value, and not both"),
        ("[fields]\nkind = {column = 'a', value = 'b'}", "map.toml fields.kind: must have a column or a value"),
        ("[fields]\nkind = {value = 'b', default = 'c'}", "has a value, so values and default mean nothing"),
        (
            "[interaction]\nkind = 'c'",
            "map.toml interaction: must be tables, each of which begins with [[interaction]]",
        ),
        ("[[interaction]]\nwhere = {}", "map.toml interaction.0.where: is unknown; known are event_id"),
        ("[fields]\noccurred_at = {column = 't', zone = 'Mars'}", "must be an IANA time zone such as Europe/Istanbul"),
        ("zone = '/etc/passwd'", "map.toml zone: must be an IANA time zone"),
        ("encoding = 'klingon'", "map.toml encoding: must be an encoding such as utf-8"),
        ("[fields]\noccurred_at = {column = 't', format = '%H:%M %Z'}", "such as '%H:%M UTC', and zone = 'UTC'"),
        (
            "[fields]\noccurred_at = {column = 't', format = 'dd.MM.yyyy'}",
            "occurred_at.format: must be a format of strp",
        ),
        ("[fields]\noccurred_at = ['d', 't']", "fields.occurred_at: must be a column or a table, got ['d', 't']"),
        (
            "fields.attributes.a = {column = 'c', epoch = 's', prefix = 'x'}",
            "is a time, so prefix and join mean nothing",
        ),
        ("when = {a = true}", "map.toml when.a: must be a text or a list of texts, got True"),
        ("decimal = ';'", "map.toml decimal: must be '.' or ',', got ';'"),
        ("delimiter = 'x'", "map.toml delimiter: must be"),
        ("[fields]\nkind = 5", "map.toml fields.kind: must be a column or"),
        ("[fields.attributes]\na = {unit = 's', column = 'c'}", "map.toml fields.attributes.a.unit: is unknown; known"),
        ("when = {a = []}", "map.toml when.a: must have an entry"),
        ("a = ?", "map.toml is no TOML: Invalid value (at line 1, column 5)"),
    ],
)
def test_an_error_names_file_key_and_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MappingError) as told:
        mapped(tmp_path, text)
    assert said in str(told.value)


def test_a_mapping_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read: No such file"):
        load_mapping(tmp_path / "no.toml")
    (tmp_path / "a.toml").write_bytes(b"zone = '\xff'")
    with pytest.raises(MappingError, match="is not UTF-8"):
        load_mapping(tmp_path / "a.toml")
