import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { KafkaBroker } from '../../test/support/kafka/broker.ts';
import { createTopic } from '../../test/support/kafka/topics.ts';
import { userEventsSchemas } from './user-events-schemas.ts';

export interface TopicLoad {
  topic: string;
  messages: number;
  rowsPerTransaction: number;
  /** Default 1. Messages are spread by key, as Connect spreads them. */
  partitions?: number;
  /** Default `none`, as Connect's. */
  compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  /** Whether messages carry their schemas (`schemas.enable`). Default false, the platform's. */
  withSchemas?: boolean;
}

/** A topic read from its beginning to its end. */
export interface DiscardRun {
  messages: number;
  /** Of keys and values. */
  bytes: number;
  /** From the first poll on, without the start of Java. */
  seconds: number;
  /** Of the consumer's process, all cores. */
  cpuSeconds: number;
}

/**
 * Creates a topic and writes rows 1 to `messages` of `user_events` (bench/workload.ts) into it as Debezium does with the
 * platform profile: inserts, about 1,000 bytes each, no Debezium needed. `checkRows` knows what a table has to hold then.
 */
export async function fillTopic(broker: KafkaBroker, load: TopicLoad): Promise<void> {
  const { topic, messages, rowsPerTransaction, partitions = 1, compression = 'none' } = load;
  await createTopic(broker, topic, { partitions });
  await runJava(broker, 'EventProducer.java', [
    ...[topic, `${messages}`, `${rowsPerTransaction}`, compression],
    ...(load.withSchemas ? userEventsSchemas() : []),
  ]);
}

/** What Java's client takes to read `topic` and to do nothing with it, as it comes or with its fastest settings. */
export async function discardTopic(
  broker: KafkaBroker,
  topic: string,
  settings: 'default' | 'tuned',
): Promise<DiscardRun> {
  const more = settings === 'tuned' ? ['tuned'] : [];
  return JSON.parse(await runJava(broker, 'DiscardingConsumer.java', [topic, ...more]));
}

async function runJava(broker: KafkaBroker, file: string, args: readonly string[]): Promise<string> {
  const flags = ['-Xmx1g', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', broker.classPath];
  const program = join(import.meta.dirname, file);
  const { stdout } = await promisify(execFile)('java', [...flags, program, broker.address(), ...args]);
  return stdout;
}
