"""The schema registry: a client, and an embedded one."""
