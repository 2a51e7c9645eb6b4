-- title: Highest friction now
-- answers: Who carries the most friction at this moment, and why; decayed to now from the stored heats.
-- shape: table
-- columns:
--   customer_id: {label: Customer, unit: text}
--   score: {label: Score, unit: index}
--   band: {label: Band, unit: text}
--   why: {label: Why, unit: text}
--   segment: {label: Segment, unit: text}
--   interactions: {label: Interactions, unit: count}
--   scored_at: {label: Last interaction, unit: time}
WITH
    arrayReverseSort(h -> h.2, arrayFilter(h -> h.2 > 0, heats_now)) AS frictions,
    arraySum(h -> h.2, frictions) AS friction
SELECT
    customer_id,
    round(score_now, 1) AS score,
    band,
    arrayStringConcat(
        arrayMap(h -> format('{} {} %', replaceAll(h.1, '_', ' '), toString(round(100 * h.2 / friction))),
                 arraySlice(frictions, 1, 3)),
        ', '
    ) AS why,
    coalesce(segment, '') AS segment,
    interactions,
    scored_at
FROM customer_friction_now
WHERE score_now >= 0.5 -- what is shown as 0 says nothing
ORDER BY score_now DESC, customer_id
LIMIT 20
