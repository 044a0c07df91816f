-- How many users did something on each day, and how much.
SELECT
  toDate(occurred_at) AS day,
  uniqExact(user_id) AS users,
  count() AS events,
  round(events / users, 1) AS events_per_user
FROM cdc.user_events FINAL
GROUP BY day
ORDER BY day;
