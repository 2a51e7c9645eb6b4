-- Every published revision of every customer's score, for curves over time; customer_friction has the last one.
CREATE TABLE IF NOT EXISTS friction_scores
(
    customer_id   String CODEC(ZSTD(1)),
    scored_at     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    score         Float64,
    band          LowCardinality(String),
    heat          Float64,
    scale         Float64,
    contributions Array(Tuple(signal LowCardinality(String), heat Float64, half_life_s Float64, cap Float64)),
    interactions  Int64,
    segment       LowCardinality(Nullable(String)),
    policy        LowCardinality(String),
    _topic        LowCardinality(String),
    _partition    Int32,
    _offset       Int64 CODEC(Delta, ZSTD(1)),
    _appended_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(_appended_at)
PRIMARY KEY (customer_id, scored_at)
ORDER BY (customer_id, scored_at, _topic, _partition, _offset)
TTL toDateTime(_appended_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;
