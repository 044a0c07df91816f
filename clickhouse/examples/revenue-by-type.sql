-- What came in and what was paid back, exact to the cent.
SELECT
  event_type,
  count() AS events,
  sum(amount) AS revenue,
  min(amount) AS smallest,
  max(amount) AS largest
FROM cdc.user_events FINAL
WHERE amount IS NOT NULL
GROUP BY event_type
ORDER BY revenue DESC;
