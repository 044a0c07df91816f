import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * java DiscardingConsumer.java BOOTSTRAP TOPIC [tuned]: reads a topic from its beginning to what is its end now, and does nothing
 * with it; with the settings that the client comes with, or with those that are fastest. Prints {"messages": …, "bytes": … of
 * keys and values, "seconds": …, "cpuSeconds": … of this process}, from the first poll on.
 */
public final class DiscardingConsumer {
  private static final Duration patience = Duration.ofSeconds(30);

  public static void main(String[] args) {
    String topic = args[1];
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("enable.auto.commit", "false");
    settings.put("auto.offset.reset", "earliest");
    if (args.length > 2) {
      // Large pieces: the best that this client can do.
      settings.put("max.poll.records", "10000");
      settings.put("max.partition.fetch.bytes", "8388608");
      settings.put("receive.buffer.bytes", "1048576");
    }

    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream().map(part -> new TopicPartition(topic, part.partition())).toList();
      consumer.assign(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      consumer.seekToBeginning(partitions);

      long messages = 0;
      long bytes = 0;
      long cpuBefore = cpuNanos();
      long before = System.nanoTime();
      long lastProgress = before;
      while (partitions.stream().anyMatch(part -> consumer.position(part) < ends.get(part))) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
        for (ConsumerRecord<byte[], byte[]> record : records) {
          messages++;
          bytes += Math.max(0, record.serializedKeySize()) + Math.max(0, record.serializedValueSize());
        }
        long now = System.nanoTime();
        if (!records.isEmpty()) lastProgress = now;
        else if (now - lastProgress > patience.toNanos())
          throw new IllegalStateException("no message for " + patience);
      }
      double seconds = (System.nanoTime() - before) / 1e9;
      double cpuSeconds = (cpuNanos() - cpuBefore) / 1e9;
      System.out.printf(
          Locale.ROOT,
          "{\"messages\":%d,\"bytes\":%d,\"seconds\":%.3f,\"cpuSeconds\":%.3f}%n",
          messages, bytes, seconds, cpuSeconds);
    }
  }

  private static long cpuNanos() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
