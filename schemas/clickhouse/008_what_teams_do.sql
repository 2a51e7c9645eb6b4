-- What teams do with alerts, and may do.
ALTER TABLE friction_alerts
    ADD COLUMN IF NOT EXISTS team LowCardinality(Nullable(String)) AFTER members,
    ADD COLUMN IF NOT EXISTS handling LowCardinality(Nullable(String)) AFTER team,
    ADD COLUMN IF NOT EXISTS handled_at Nullable(DateTime64(3, 'UTC')) AFTER handling,
    ADD COLUMN IF NOT EXISTS handled_reason LowCardinality(Nullable(String)) AFTER handled_at,
    ADD COLUMN IF NOT EXISTS assignee Nullable(String) CODEC(ZSTD(1)) AFTER handled_reason,
    ADD COLUMN IF NOT EXISTS do_not_contact Bool AFTER assignee,
    ADD COLUMN IF NOT EXISTS not_before Nullable(DateTime64(3, 'UTC')) AFTER do_not_contact,
    ADD COLUMN IF NOT EXISTS held_back Bool AFTER not_before;

-- A view keeps the columns that its table had.
CREATE OR REPLACE VIEW friction_alerts_latest AS
SELECT * FROM friction_alerts ORDER BY alert_id, revision DESC, _offset DESC LIMIT 1 BY alert_id;

CREATE OR REPLACE VIEW friction_alerts_standing AS
SELECT * FROM friction_alerts_latest WHERE status IN ('opened', 'escalated');

-- The place of each alert among those of its team that were opened in the same hour (docs/budgets.md).
CREATE VIEW IF NOT EXISTS friction_alerts_ranked AS
SELECT
    toStartOfHour(raised_at) AS hour,
    team,
    row_number() OVER (PARTITION BY hour, team ORDER BY priority, left_s IS NULL, left_s, raised_at, alert_id) AS place,
    priority,
    if(deadline IS NULL, NULL, greatest(0, dateDiff('millisecond', raised_at, deadline)) / 1000) AS left_s,
    held_back,
    type,
    customer_id,
    raised_at,
    deadline,
    reason,
    alert_id
FROM
(
    SELECT * FROM friction_alerts
    WHERE revision = 1 AND team IS NOT NULL AND type != 'touchpoint_incident'
    ORDER BY alert_id, _offset DESC
    LIMIT 1 BY alert_id
);
