"""ClickHouse: the client, migrations, the landing, and the embedded engine behind an HTTP bridge."""
