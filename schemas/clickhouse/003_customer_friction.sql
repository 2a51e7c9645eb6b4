-- The last published score of each customer. A customer's scores are in one partition of friction.scores, so
-- the highest offset is the last one said; neither clock nor event time orders them as surely.
CREATE TABLE IF NOT EXISTS customer_friction
(
    customer_id   String CODEC(ZSTD(1)),
    scored_at     DateTime64(3, 'UTC'),
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
    _offset       Int64,
    _appended_at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(_offset)
ORDER BY customer_id
TTL toDateTime(_appended_at) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS customer_friction_feed TO customer_friction AS
SELECT
    customer_id, scored_at, score, band, heat, scale, contributions, interactions, segment, policy,
    _topic, _partition, _offset, _appended_at
FROM friction_scores;

-- Scores as of now: each stored heat decayed with its own half-life since scored_at. `contributions` stays as
-- stored; `heats_now` has what each signal adds at this moment, cap applied.
CREATE VIEW IF NOT EXISTS customer_friction_now AS
SELECT
    customer_id,
    100 * (1 - exp(-heat_now / scale)) AS score_now,
    greatest(0., arraySum(heats_now.2)) AS heat_now,
    arrayMap(c -> (c.signal, least(c.heat * exp2(-age_s / c.half_life_s), c.cap)), contributions)
        ::Array(Tuple(signal String, heat Float64)) AS heats_now,
    greatest(0., (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(scored_at)) / 1000) AS age_s,
    band, scored_at, score, heat, scale, contributions, interactions, segment, policy,
    _topic, _partition, _offset, _appended_at
FROM customer_friction FINAL;
