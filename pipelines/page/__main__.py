"""``python -m pipelines.page``: the live page in a process of its own."""

import argparse
import os
import signal
import sys

from pydantic import ValidationError

from connectors.clickhouse.connection import ClickHouseConnection
from pipelines.page.app import serve
from schemas.errors import FrictionError

_EXPLANATION = """The live page: highest friction, alerts, waits and rate, asked of ClickHouse.
What is not given is taken from FRICTION_CLICKHOUSE__URL, __DATABASE, __USER, __CA_FILE and __VERIFY; the password
only from FRICTION_CLICKHOUSE__PASSWORD, so that no list of processes shows it."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; return the exit code, 2 for a setting that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.page",
        description=_EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; there is no login (%(default)s)")
    parser.add_argument("--port", type=int, default=8050, help="port, 0 for a free one (%(default)s)")
    parser.add_argument("--clickhouse", metavar="URL", default=_said("URL", "http://127.0.0.1:8123"))
    parser.add_argument("--database", metavar="NAME", default=_said("DATABASE", "friction"))
    parser.add_argument("--user", metavar="NAME", default=_said("USER", "default"))
    parser.add_argument("--ca-file", metavar="FILE", default=_said("CA_FILE", None), help="CA of an https URL")
    said = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn gives the signal back after its own stop
    try:
        clickhouse = ClickHouseConnection.model_validate(
            {
                "url": said.clickhouse,
                "database": said.database,
                "user": said.user,
                "password": _said("PASSWORD", ""),
                "ca_file": said.ca_file,
                "verify": _said("VERIFY", "true"),
            }
        )
        serve(clickhouse, host=said.host, port=said.port)
    except (FrictionError, ValidationError) as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201 - the command's own word
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _said(name: str, otherwise: str | None) -> str | None:
    return os.environ.get(f"FRICTION_CLICKHOUSE__{name}", otherwise)


if __name__ == "__main__":
    sys.exit(main())
