-- title: Interactions per second
-- answers: How much happens, by the moment at which Kafka took it; whole intervals only.
-- shape: series
-- columns:
--   time: {label: Time, unit: time}
--   per_s: {label: interactions, unit: per_s}
-- note: A record that was landed twice may count twice until ClickHouse merges; FINAL would read far more.
SELECT
    $__timeInterval(_appended_at) AS time,
    count() / $__interval_s AS per_s
FROM interactions
WHERE _appended_at >= toStartOfInterval($__fromTime, INTERVAL $__interval_s second)
    AND _appended_at < toStartOfInterval($__toTime, INTERVAL $__interval_s second)
GROUP BY time
ORDER BY time WITH FILL
    FROM toStartOfInterval($__fromTime, INTERVAL $__interval_s second)
    TO toStartOfInterval($__toTime, INTERVAL $__interval_s second)
    STEP $__interval_s
