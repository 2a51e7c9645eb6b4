-- Every interaction as it was reported, one row per record of friction.interactions.
--
-- A record that is landed twice has the same sorting key and the same partition, so it is one row: count it
-- with FINAL. Partition and TTL go by append time, because event times are what producers claim.
CREATE TABLE IF NOT EXISTS interactions
(
    event_id     String CODEC(ZSTD(1)),
    customer_id  String CODEC(ZSTD(1)),
    kind         LowCardinality(String),
    channel      LowCardinality(String),
    touchpoint   LowCardinality(String),
    occurred_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    session_id   Nullable(String) CODEC(ZSTD(1)),
    case_id      Nullable(String) CODEC(ZSTD(1)),
    subject      LowCardinality(Nullable(String)),
    duration_ms  Nullable(Int64),
    amount       Nullable(Float64),
    currency     LowCardinality(Nullable(String)),
    rating       Nullable(Float64),
    sentiment    Nullable(Float64),
    reach        Nullable(Int64),
    segment      LowCardinality(Nullable(String)),
    source       LowCardinality(Nullable(String)),
    attributes   Map(LowCardinality(String), String),
    _topic       LowCardinality(String),
    _partition   Int32,
    _offset      Int64 CODEC(Delta, ZSTD(1)),
    _appended_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(_appended_at)
PRIMARY KEY (toStartOfHour(occurred_at), customer_id)
ORDER BY (toStartOfHour(occurred_at), customer_id, occurred_at, _topic, _partition, _offset)
TTL toDateTime(_appended_at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;
