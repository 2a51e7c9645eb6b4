-- Every revision of every alert. alert_id is deterministic: an alert that is told again is the same row.
CREATE TABLE IF NOT EXISTS friction_alerts
(
    alert_id         String CODEC(ZSTD(1)),
    revision         Int32,
    type             LowCardinality(String),
    status           LowCardinality(String),
    customer_id      Nullable(String) CODEC(ZSTD(1)),
    touchpoint       LowCardinality(Nullable(String)),
    channel          LowCardinality(Nullable(String)),
    subject          LowCardinality(Nullable(String)),
    case_id          Nullable(String) CODEC(ZSTD(1)),
    raised_at        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    emitted_at       Nullable(DateTime64(3, 'UTC')),
    deadline         Nullable(DateTime64(3, 'UTC')),
    band             LowCardinality(Nullable(String)),
    score            Nullable(Float64),
    reason           String CODEC(ZSTD(1)),
    contributions    Array(Tuple(signal LowCardinality(String), heat Float64, half_life_s Float64, cap Float64)),
    clock            LowCardinality(Nullable(String)),
    open_clocks      Array(Tuple(clock LowCardinality(String), opened_at DateTime64(3, 'UTC'),
                                 deadline Nullable(DateTime64(3, 'UTC')), case_id Nullable(String))),
    earlier          Array(Tuple(occurred_at DateTime64(3, 'UTC'), channel LowCardinality(String), tried String)),
    customers        Nullable(Int64),
    share            Nullable(Float64),
    priority         Int32,
    suggested_action Nullable(String) CODEC(ZSTD(1)),
    policy           LowCardinality(String),
    _topic           LowCardinality(String),
    _partition       Int32,
    _offset          Int64 CODEC(Delta, ZSTD(1)),
    _appended_at     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(_offset)
PARTITION BY toYYYYMM(raised_at)
ORDER BY (toDate(raised_at), alert_id, revision)
TTL toDateTime(_appended_at) + INTERVAL 400 DAY;

-- What each alert says now: its highest revision.
CREATE VIEW IF NOT EXISTS friction_alerts_latest AS
SELECT * FROM friction_alerts ORDER BY alert_id, revision DESC, _offset DESC LIMIT 1 BY alert_id;

-- Whom or what to act on now.
CREATE VIEW IF NOT EXISTS friction_alerts_standing AS
SELECT * FROM friction_alerts_latest WHERE status IN ('opened', 'escalated');
