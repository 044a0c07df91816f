-- What is put into carts and stays there.
SELECT
  JSONExtractUInt(payload, 'product') AS product,
  sum(JSONExtractUInt(payload, 'quantity')) AS pieces,
  uniqExact(user_id) AS users
FROM cdc.user_events FINAL
WHERE event_type = 'add_to_cart' AND NOT JSONExtractBool(payload, 'removed')
GROUP BY product
ORDER BY pieces DESC, product
LIMIT 10;
