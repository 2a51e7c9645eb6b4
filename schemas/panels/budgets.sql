-- title: Budgets of alerts
-- answers: How many alerts each team was given of those that were opened in each hour, and how many are held back.
-- shape: table
-- columns:
--   hour: {label: Hour, unit: time}
--   team: {label: Team, unit: text}
--   passed: {label: Passed, unit: count}
--   held_back: {label: Held back, unit: count}
SELECT
    toStartOfHour(opened_at) AS hour,
    team,
    countIf(NOT held) AS passed,
    countIf(held) AS held_back
FROM
(
    SELECT
        min(raised_at) AS opened_at,
        assumeNotNull(argMin(team, revision)) AS team,
        argMax(friction_alerts.held_back, revision) AS held
    FROM friction_alerts
    WHERE $__timeFilter(raised_at) AND friction_alerts.team IS NOT NULL AND type != 'touchpoint_incident'
    GROUP BY alert_id
)
GROUP BY hour, team
ORDER BY hour DESC, team
LIMIT 50
