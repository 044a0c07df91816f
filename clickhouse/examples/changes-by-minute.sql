-- How many keys were last written in each minute, deleted ones included: the load as ClickHouse sees it.
SELECT
  toStartOfMinute(_committed_at) AS minute,
  count() AS keys,
  countIf(_is_deleted = 1) AS deleted
FROM (
  SELECT
    id,
    argMax(_committed_at, _version) AS _committed_at,
    argMax(_is_deleted, _version) AS _is_deleted
  FROM cdc.user_events
  GROUP BY id
)
GROUP BY minute
ORDER BY minute;
