import { after } from 'node:test';
import { type KafkaBroker, startKafka } from './broker.ts';
import { type KafkaConnect, startConnect } from './connect.ts';
import { type SchemaRegistry, startRegistry } from './registry.ts';

let broker: Promise<KafkaBroker> | undefined;
let connect: Promise<KafkaConnect> | undefined;
let registry: Promise<SchemaRegistry> | undefined;

after(async () => {
  for (const server of [connect, registry, broker])
    await (await server?.catch(() => undefined))?.[Symbol.asyncDispose]();
});

/** The broker of this test file: started by the first call, stopped after the last test. Tests must leave it running. */
export function sharedKafka(): Promise<KafkaBroker> {
  broker ??= startKafka();
  return broker;
}

/** Connect on the shared broker, with Debezium and the Avro converter. Use a connector, topic prefix and slot of your own. */
export function sharedConnect(): Promise<KafkaConnect> {
  connect ??= sharedKafka().then(home => startConnect(home, { plugins: ['debezium', 'avro-converter'] }));
  return connect;
}

export function sharedRegistry(): Promise<SchemaRegistry> {
  registry ??= startRegistry();
  return registry;
}
