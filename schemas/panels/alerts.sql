-- title: Alerts
-- answers: Whom or what to act on, the newest first, each alert as its last revision left it; without what an incident mutes.
-- shape: table
-- columns:
--   raised_at: {label: Raised, unit: time}
--   status: {label: Status, unit: text}
--   type: {label: Type, unit: text}
--   about: {label: Customer or touchpoint, unit: text}
--   band: {label: Band, unit: text}
--   score: {label: Score, unit: index}
--   reason: {label: Reason, unit: text}
--   action: {label: Suggested action, unit: text}
--   channel: {label: Channel, unit: text}
--   team: {label: Team, unit: text}
--   handling: {label: What was done, unit: text}
--   held: {label: Held back, unit: text}
--   alert_id: {label: Alert, unit: text}
WITH latest AS
(
    SELECT * FROM friction_alerts
    WHERE $__timeFilter(raised_at) -- not friction_alerts_latest, which sorts the alerts of all times
    ORDER BY alert_id, revision DESC, _offset DESC
    LIMIT 1 BY alert_id
),
muted AS -- as friction_alerts_muted, of this span
(
    SELECT told.alert_id
    FROM
    (
        SELECT alert_id, touchpoint, raised_at, contributions[1].signal AS signal FROM latest
        WHERE type = 'band_entered' AND status IN ('opened', 'escalated')
    ) AS told
    INNER JOIN
    (
        SELECT touchpoint, began_at, mutes.signal AS signals FROM latest
        WHERE type = 'touchpoint_incident' AND status IN ('opened', 'escalated')
    ) AS incident ON told.touchpoint = incident.touchpoint
    WHERE told.raised_at >= incident.began_at AND has(incident.signals, told.signal)
)
SELECT
    raised_at,
    status,
    type,
    coalesce(customer_id, touchpoint, '') AS about,
    coalesce(band, '') AS band,
    round(score, 1) AS score,
    reason,
    coalesce(suggested_action, '') AS action,
    coalesce(channel, '') AS channel,
    coalesce(team, '') AS team,
    concat(coalesce(handling, ''), if(assignee IS NULL, '', concat(': ', assignee))) AS handling,
    if(held_back, 'held back', '') AS held,
    alert_id
FROM latest
WHERE alert_id NOT IN (SELECT alert_id FROM muted)
ORDER BY raised_at DESC, alert_id
LIMIT 50
