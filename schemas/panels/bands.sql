-- title: Customers per band
-- answers: How many customers are in each band, as last scored.
-- shape: table
-- columns:
--   breaking: {label: Breaking, unit: count}
--   hot: {label: Hot, unit: count}
--   warm: {label: Warm, unit: count}
--   calm: {label: Calm, unit: count}
SELECT
    countIf(band = 'breaking') AS breaking,
    countIf(band = 'hot') AS hot,
    countIf(band = 'warm') AS warm,
    countIf(band = 'calm') AS calm
FROM customer_friction FINAL
