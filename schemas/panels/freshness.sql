-- title: Freshness
-- answers: How old the newest landed row of each table is, by the moment at which Kafka took it.
-- note: It grows when nothing happens, too. ClickHouse knows the newest of the two large tables without reading them.
-- shape: table
-- columns:
--   landed: {label: Table, unit: text}
--   newest: {label: Newest row, unit: time}
--   behind_s: {label: Behind, unit: s}
SELECT
    landed,
    nullIf(last, toDateTime64(0, 3, 'UTC')) AS newest,
    if(newest IS NULL, NULL, greatest(0, dateDiff('millisecond', newest, now64(3, 'UTC'))) / 1000) AS behind_s
FROM
(
    SELECT 'interactions' AS landed, max(_appended_at) AS last FROM interactions
    UNION ALL
    SELECT 'friction_scores', max(_appended_at) FROM friction_scores
    UNION ALL
    SELECT 'wait_windows', max(_appended_at) FROM wait_windows
    UNION ALL
    SELECT 'friction_alerts', max(_appended_at) FROM friction_alerts
)
ORDER BY indexOf(['interactions', 'friction_scores', 'wait_windows', 'friction_alerts'], landed)
