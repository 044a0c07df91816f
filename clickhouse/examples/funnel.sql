-- How far visits get on the way to a purchase, each step within an hour of the first one.
WITH visits AS (
  SELECT
    JSONExtractString(payload, 'session') AS session,
    windowFunnel(3600)(
      toDateTime(occurred_at),
      event_type = 'page_view',
      event_type = 'add_to_cart',
      event_type = 'checkout',
      event_type = 'purchase'
    ) AS reached
  FROM cdc.user_events FINAL
  GROUP BY session
)
SELECT
  step,
  ['page_view', 'add_to_cart', 'checkout', 'purchase'][step] AS event_type,
  countIf(reached >= step) AS visits,
  round(100 * visits / (SELECT countIf(reached >= 1) FROM visits), 2) AS percent
FROM visits
ARRAY JOIN [1, 2, 3, 4] AS step
GROUP BY step
ORDER BY step;
