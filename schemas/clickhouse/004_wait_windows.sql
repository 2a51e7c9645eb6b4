-- How long customers waited, by touchpoint, channel and window of event time. A window is told again whenever
-- it changes; the highest revision stands (read with FINAL).
CREATE TABLE IF NOT EXISTS wait_windows
(
    touchpoint        LowCardinality(String),
    channel           LowCardinality(String),
    window_start      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    window_end        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    revision          Int64,
    offered           Int64,
    answered          Int64,
    abandoned         Int64,
    other_ends        Int64,
    in_progress       Int64,
    wait_sum_ms       Int64,
    wait_max_ms       Int64,
    wait_mean_ms      Nullable(Float64),
    final             Bool,
    source_partitions Int32,
    policy            LowCardinality(String),
    _topic            LowCardinality(String),
    _partition        Int32,
    _offset           Int64,
    _appended_at      DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(window_start)
ORDER BY (touchpoint, channel, window_start, window_end)
TTL toDateTime(_appended_at) + INTERVAL 1200 DAY;
