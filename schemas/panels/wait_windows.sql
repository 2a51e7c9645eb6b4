-- title: Waits by touchpoint
-- answers: How long customers waited, by the moment at which the wait began; mean and longest of the ended waits.
-- shape: series
-- columns:
--   time: {label: Time, unit: time}
--   touchpoint: {label: Touchpoint, unit: text}
--   mean_s: {label: mean, unit: s}
--   longest_s: {label: longest, unit: s}
SELECT
    $__timeInterval(window_start) AS time,
    touchpoint,
    sum(wait_sum_ms) / sum(offered - in_progress) / 1000 AS mean_s,
    max(wait_max_ms) / 1000 AS longest_s
FROM wait_windows FINAL
WHERE $__timeFilter(window_start) AND offered > in_progress
GROUP BY time, touchpoint
ORDER BY time, touchpoint
