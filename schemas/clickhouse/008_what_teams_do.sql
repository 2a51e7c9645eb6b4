-- What teams do with alerts and are given of them, and what an incident mutes.
ALTER TABLE friction_alerts
    ADD COLUMN IF NOT EXISTS team LowCardinality(Nullable(String)) AFTER members,
    ADD COLUMN IF NOT EXISTS handling LowCardinality(Nullable(String)) AFTER team,
    ADD COLUMN IF NOT EXISTS handled_at Nullable(DateTime64(3, 'UTC')) AFTER handling,
    ADD COLUMN IF NOT EXISTS handled_reason LowCardinality(Nullable(String)) AFTER handled_at,
    ADD COLUMN IF NOT EXISTS assignee Nullable(String) CODEC(ZSTD(1)) AFTER handled_reason,
    ADD COLUMN IF NOT EXISTS do_not_contact Bool AFTER assignee,
    ADD COLUMN IF NOT EXISTS not_before Nullable(DateTime64(3, 'UTC')) AFTER do_not_contact,
    ADD COLUMN IF NOT EXISTS held_back Bool AFTER not_before,
    ADD COLUMN IF NOT EXISTS began_at Nullable(DateTime64(3, 'UTC')) AFTER held_back,
    ADD COLUMN IF NOT EXISTS mutes Array(Tuple(signal LowCardinality(String))) AFTER began_at;

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

-- The alerts of those whom an incident met that say the same again, from its beginning to its end (docs/incidents.md).
CREATE VIEW IF NOT EXISTS friction_incident_alerts AS
SELECT
    incident.alert_id AS incident_id,
    incident.status AS incident_status,
    incident.touchpoint AS touchpoint,
    told.alert_id AS alert_id,
    told.customer_id AS customer_id,
    max(told.revision) AS revision
FROM
(
    SELECT alert_id, revision, customer_id, touchpoint, raised_at, contributions[1].signal AS signal
    FROM friction_alerts
    WHERE type = 'band_entered' AND status IN ('opened', 'escalated')
) AS told
INNER JOIN
(
    SELECT alert_id, status, touchpoint, began_at, raised_at, mutes.signal AS signals
    FROM
    (
        SELECT * FROM friction_alerts
        WHERE type = 'touchpoint_incident'
        ORDER BY alert_id, revision DESC, _offset DESC
        LIMIT 1 BY alert_id
    )
    WHERE status != 'retracted'
) AS incident ON told.touchpoint = incident.touchpoint
WHERE told.raised_at >= incident.began_at
    AND (incident.status != 'resolved' OR told.raised_at <= incident.raised_at)
    AND has(incident.signals, told.signal)
GROUP BY incident_id, incident_status, touchpoint, alert_id, customer_id;

-- Those of them that stand while the incident does: their last word is about the same.
CREATE VIEW IF NOT EXISTS friction_alerts_muted AS
SELECT listed.alert_id AS alert_id, any(listed.incident_id) AS incident_id
FROM friction_incident_alerts AS listed
INNER JOIN
(
    SELECT alert_id, max(revision) AS revision FROM friction_alerts WHERE type = 'band_entered' GROUP BY alert_id
) AS latest ON listed.alert_id = latest.alert_id AND listed.revision = latest.revision
WHERE listed.incident_status IN ('opened', 'escalated')
GROUP BY alert_id;

-- Whom or what to act on now, without what is held back, dismissed or muted.
CREATE VIEW IF NOT EXISTS friction_alerts_to_act_on AS
SELECT *
FROM friction_alerts_standing
WHERE NOT held_back
    AND coalesce(handling, '') != 'dismissed'
    AND alert_id NOT IN (SELECT alert_id FROM friction_alerts_muted);
