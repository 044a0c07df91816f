-- The busiest users and the last thing that each of them did.
SELECT
  user_id,
  count() AS events,
  max(occurred_at) AS last_seen,
  argMax(event_type, (occurred_at, id)) AS last_event,
  sumIf(amount, event_type = 'purchase') AS spent
FROM cdc.user_events FINAL
GROUP BY user_id
ORDER BY events DESC, user_id
LIMIT 20;
