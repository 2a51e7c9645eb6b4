-- Records that could not be accepted: original key, value and headers as bytes, and why (Kafka Connect's words).
-- key and value may be no UTF-8: read them with hex() or base64Encode().
CREATE TABLE IF NOT EXISTS dead_letters
(
    source_topic      LowCardinality(Nullable(String)),
    source_partition  Nullable(Int32),
    source_offset     Nullable(Int64),
    stage             LowCardinality(Nullable(String)),
    exception_class   LowCardinality(Nullable(String)),
    exception_message Nullable(String) CODEC(ZSTD(1)),
    key               Nullable(String) CODEC(ZSTD(1)),
    value             Nullable(String) CODEC(ZSTD(1)),
    headers           Map(String, String) CODEC(ZSTD(1)),
    _topic            LowCardinality(String),
    _partition        Int32,
    _offset           Int64 CODEC(Delta, ZSTD(1)),
    _appended_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(_appended_at)
ORDER BY (_topic, _partition, _offset)
TTL toDateTime(_appended_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;
