"""``friction backtest``: the core on files, without Kafka."""
