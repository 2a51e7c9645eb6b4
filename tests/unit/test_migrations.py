"""Migrations are numbered, forward-only, and can be begun again after a kill."""

import pytest

from connectors.clickhouse.migrations import Migration, migrations, pending
from schemas.errors import SchemaIncompatible

ONE = Migration.of("001_one.sql", "CREATE TABLE IF NOT EXISTS one (a Int8) ENGINE = Memory;\n")
TWO = Migration.of("002_two.sql", "CREATE TABLE IF NOT EXISTS two (a Int8) ENGINE = Memory;\n")


def test_every_statement_of_ours_can_be_repeated() -> None:
    for migration in migrations():
        assert migration.statements
        for statement in migration.statements:
            sql = " ".join(line for line in statement.splitlines() if not line.startswith("--"))
            head = sql.split("(")[0]
            repeats = (
                " IF NOT EXISTS " in head or " MODIFY COLUMN " in head or head.startswith("CREATE OR REPLACE VIEW ")
            )
            assert repeats, f"{migration.name}: {sql[:60]}"


def test_numbers_have_no_gap_and_no_name_is_there_twice() -> None:
    assert [m.name[:3] for m in migrations()] == [f"{i:03d}" for i in range(1, len(migrations()) + 1)]


def test_a_file_is_cut_at_semicolons_that_end_a_line() -> None:
    text = (
        "-- first; of two\nCREATE VIEW a AS SELECT ';' AS x;\n\n-- second\nCREATE VIEW b AS SELECT 2;  \n-- the end\n"
    )
    assert Migration.of("001_x.sql", text).statements == (
        "-- first; of two\nCREATE VIEW a AS SELECT ';' AS x",
        "-- second\nCREATE VIEW b AS SELECT 2",
    )


def test_what_is_applied_is_not_applied_again() -> None:
    assert pending([ONE, TWO], {}) == [ONE, TWO]
    assert pending([ONE, TWO], {ONE.name: ONE.checksum}) == [TWO]
    assert pending([ONE, TWO], {m.name: m.checksum for m in (ONE, TWO)}) == []


def test_a_file_that_changed_after_it_was_applied_is_named() -> None:
    with pytest.raises(SchemaIncompatible, match=r"001_one\.sql has changed since it was applied"):
        pending([ONE, TWO], {ONE.name: "0" * 64})


def test_a_database_of_a_newer_version_is_left_alone() -> None:
    with pytest.raises(SchemaIncompatible, match=r"does not know: 003_three\.sql"):
        pending([ONE, TWO], {ONE.name: ONE.checksum, TWO.name: TWO.checksum, "003_three.sql": "0" * 64})
