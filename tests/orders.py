"""A made-up schema of orders, evolved well and badly, and the client of confluent-kafka that registers it."""

from confluent_kafka.schema_registry import SchemaRegistryClient

from connectors.registry.connection import RegistryConnection

ID_ONLY = '{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]}'
WITH_NOTE = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "int"}, {"name": "note", "type": "string", "default": ""}]}"""
WITHOUT_DEFAULT = """{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "int"}, {"name": "note", "type": "string"}]}"""


def client_of(connection: RegistryConnection) -> SchemaRegistryClient:
    """A client that remembers nothing yet and reports an error at once instead of trying again."""
    return SchemaRegistryClient({"url": connection.url, "max.retries": 0})
