import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HexFormat;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * java EventProducer.java BOOTSTRAP TOPIC MESSAGES ROWS_PER_TRANSACTION COMPRESSION [KEY_SCHEMA VALUE_SCHEMA]: writes the rows
 * of `user_events` (bench/workload.ts) as inserts, byte for byte as Debezium 3.6.3 does with the platform profile, but for
 * times, positions and transaction ids, which are made up. With the two schemas, JSON, keys and values are
 * {"schema":…,"payload":…}.
 */
public final class EventProducer {
  private static final String[] types = {"page_view", "click", "purchase", "sign_in", "search"};
  private static final Instant firstRow = Instant.parse("2026-01-01T00:00:00Z");
  private static final DateTimeFormatter time =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);
  /** Beyond 0/80000000, as on most servers. */
  private static final long firstLsn = 0x80000000L;
  private static final long rowBytes = 344;
  private static final long commitBytes = 48;
  private static final long firstCommitUs = 1_767_225_600_000_000L;

  public static void main(String[] args) throws Exception {
    String topic = args[1];
    long count = Long.parseLong(args[2]);
    long rowsPerTransaction = Long.parseLong(args[3]);
    // Of batches and their delay, the client's own defaults: that is what Connect has.
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("compression.type", args[4]);
    settings.put("buffer.memory", "134217728");
    boolean hasSchemas = args.length > 5;
    String keyStart = hasSchemas ? "{\"schema\":" + args[5] + ",\"payload\":" : "";
    String valueStart = hasSchemas ? "{\"schema\":" + args[6] + ",\"payload\":" : "";
    String end = hasSchemas ? "}" : "";

    String[] users = new String[10_000];
    MessageDigest md5 = MessageDigest.getInstance("MD5");
    for (int i = 0; i < users.length; i++) {
      String hex = hash(md5, "user " + i);
      users[i] = String.join("-", hex.substring(0, 8), hex.substring(8, 12), hex.substring(12, 16),
          hex.substring(16, 20), hex.substring(20));
    }

    AtomicReference<Exception> failure = new AtomicReference<>();
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      StringBuilder text = new StringBuilder(1500 + valueStart.length());
      long lsn = firstLsn;
      long lastCommit = 0;
      for (long i = 1; i <= count; i++) {
        long transaction = (i - 1) / rowsPerTransaction;
        boolean isFirst = (i - 1) % rowsPerTransaction == 0;
        if (isFirst && transaction > 0) {
          lsn += commitBytes;
          lastCommit = lsn;
        }
        text.setLength(0);
        text.append(valueStart);
        write(text, i, users[(int) (i % users.length)], hash(md5, "session " + i), lastCommit, lsn, transaction);
        text.append(end);
        lsn += rowBytes;
        byte[] key = (keyStart + "{\"id\":" + i + "}" + end).getBytes(StandardCharsets.ISO_8859_1);
        byte[] value = text.toString().getBytes(StandardCharsets.ISO_8859_1);
        producer.send(new ProducerRecord<>(topic, key, value), (metadata, error) -> {
          if (error != null) failure.set(error);
        });
        if (failure.get() != null) throw failure.get();
      }
    }
    if (failure.get() != null) throw failure.get();
  }

  private static void write(
      StringBuilder text, long i, String user, String session, long lastCommit, long lsn, long transaction) {
    long commitUs = firstCommitUs + transaction * 1_000 + 525;
    long readNs = (commitUs + 48_000) * 1_000 + i % 1_000;
    text.append("{\"before\":null,\"after\":{\"id\":").append(i)
        .append(",\"user_id\":\"").append(user)
        .append("\",\"event_type\":\"").append(types[(int) (i % 5)])
        .append("\",\"payload\":\"{\\\"page\\\": \\\"/products/").append(i % 977)
        .append("\\\", \\\"browser\\\": \\\"Firefox\\\", \\\"session\\\": \\\"").append(session)
        .append("\\\", \\\"referrer\\\": \\\"https://example.com/campaign/").append(i % 31)
        .append("\\\", \\\"duration_ms\\\": ").append(i % 60_000).append("}\",\"amount\":");
    if (i % 5 == 2) {
      long cents = i % 1_000_000;
      text.append('"').append(cents / 100).append('.').append(cents % 100 / 10).append(cents % 10).append('"');
    } else text.append("null");
    text.append(",\"occurred_at\":\"").append(time.format(firstRow.plusMillis(i)))
        .append("\"},\"source\":{\"version\":\"3.6.3.Final\",\"connector\":\"postgresql\",\"name\":\"bench\",\"ts_ms\":")
        .append(commitUs / 1_000)
        .append(",\"snapshot\":null,\"db\":\"postgres\",\"sequence\":\"[");
    if (lastCommit == 0) text.append("null");
    else text.append("\\\"").append(lastCommit).append("\\\"");
    text.append(",\\\"").append(lsn).append("\\\"]\",\"ts_us\":").append(commitUs)
        .append(",\"ts_ns\":").append(commitUs * 1_000)
        .append(",\"schema\":\"public\",\"table\":\"user_events\",\"txId\":").append(756 + transaction)
        .append(",\"lsn\":").append(lsn)
        .append(",\"xmin\":null,\"origin\":null,\"origin_lsn\":null},\"transaction\":null,\"op\":\"c\",\"ts_ms\":")
        .append(readNs / 1_000_000)
        .append(",\"ts_us\":").append(readNs / 1_000)
        .append(",\"ts_ns\":").append(readNs).append('}');
  }

  private static String hash(MessageDigest md5, String text) {
    return HexFormat.of().formatHex(md5.digest(text.getBytes(StandardCharsets.ISO_8859_1)));
  }
}
