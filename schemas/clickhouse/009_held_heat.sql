-- What open cases hold of a heat does not decay: scores as of now are not told too low while a case is open.
ALTER TABLE friction_scores
    MODIFY COLUMN contributions
    Array(Tuple(signal LowCardinality(String), heat Float64, half_life_s Float64, cap Float64, held Float64));

ALTER TABLE customer_friction
    MODIFY COLUMN contributions
    Array(Tuple(signal LowCardinality(String), heat Float64, half_life_s Float64, cap Float64, held Float64));

ALTER TABLE friction_alerts
    MODIFY COLUMN contributions
    Array(Tuple(signal LowCardinality(String), heat Float64, half_life_s Float64, cap Float64, held Float64));

-- A view keeps the columns that its table had.
CREATE OR REPLACE VIEW friction_alerts_latest AS
SELECT * FROM friction_alerts ORDER BY alert_id, revision DESC, _offset DESC LIMIT 1 BY alert_id;

CREATE OR REPLACE VIEW friction_alerts_standing AS
SELECT * FROM friction_alerts_latest WHERE status IN ('opened', 'escalated');

CREATE OR REPLACE VIEW customer_friction_now AS
SELECT
    customer_id,
    100 * (1 - exp(-heat_now / scale)) AS score_now,
    greatest(0., arraySum(heats_now.2)) AS heat_now,
    arrayMap(c -> (c.signal, least(c.held + (c.heat - c.held) * exp2(-age_s / c.half_life_s), c.cap)), contributions)
        ::Array(Tuple(signal String, heat Float64)) AS heats_now,
    greatest(0., (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(scored_at)) / 1000) AS age_s,
    band, scored_at, score, heat, scale, contributions, interactions, segment, policy,
    _topic, _partition, _offset, _appended_at
FROM customer_friction FINAL;

CREATE OR REPLACE VIEW friction_alerts_to_act_on AS
SELECT *
FROM friction_alerts_standing
WHERE NOT held_back
    AND coalesce(handling, '') != 'dismissed'
    AND alert_id NOT IN (SELECT alert_id FROM friction_alerts_muted);
