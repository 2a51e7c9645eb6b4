"""Apache Kafka: an embedded broker, its admin, the columnar transport, transactions and restore."""
