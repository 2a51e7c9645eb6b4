-- title: Dead letters
-- answers: How many records could not be accepted, and why.
-- shape: table
-- columns:
--   reason: {label: Reason, unit: text}
--   records: {label: Records, unit: count}
--   example: {label: Newest example, unit: text}
--   newest: {label: Newest, unit: time}
SELECT
    coalesce(exception_class, stage, 'unknown') AS reason,
    count() AS records,
    argMax(coalesce(exception_message, ''), _appended_at) AS example,
    max(_appended_at) AS newest
FROM dead_letters FINAL
WHERE $__timeFilter(_appended_at)
GROUP BY reason
ORDER BY records DESC, reason
LIMIT 20
