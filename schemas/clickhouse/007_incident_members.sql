-- Who has met an incident.
ALTER TABLE friction_alerts
    ADD COLUMN IF NOT EXISTS members Array(Tuple(customer_id String)) AFTER policy;

-- A view keeps the columns that its table had.
CREATE OR REPLACE VIEW friction_alerts_latest AS
SELECT * FROM friction_alerts ORDER BY alert_id, revision DESC, _offset DESC LIMIT 1 BY alert_id;

CREATE OR REPLACE VIEW friction_alerts_standing AS
SELECT * FROM friction_alerts_latest WHERE status IN ('opened', 'escalated');
