import { join } from 'node:path';
import pg from 'pg';
import { reusablePort } from '../reusable-port.ts';
import { tempDir } from '../temp-dir.ts';
import { waitFor } from '../wait-for.ts';
import type { KafkaBroker } from './broker.ts';
import { fetchJars, type JarPart } from './jars.ts';
import { type JavaServer, startJavaServer } from './java-server.ts';
import { writeProperties } from './properties.ts';

/** The settings of a connector as Connect's REST API takes them. */
export type ConnectorConfig = Readonly<Record<string, string>>;

export interface ConnectOptions {
  /** Default: Debezium alone. */
  plugins?: readonly Extract<JarPart, 'debezium' | 'avro-converter'>[];
  /** Lines of connect.properties by name, over the ones that we set. */
  settings?: Readonly<Record<string, string>>;
  /** Flags over ours, as in `-Xmx4g`. */
  jvm?: readonly string[];
}

/** Kafka Connect, distributed, one worker, with Debezium. Its folder has `connect.log`. */
export interface KafkaConnect extends JavaServer {
  /** Of the REST API. */
  url: string;
  /**
   * Creates or changes a connector; resolves when it runs and a walsender serves its replication slot.
   * @throws Error with Connect's message or the trace of the failed task
   */
  putConnector(name: string, config: ConnectorConfig): Promise<void>;
  /** Resolves when the connector runs and its slot is served, as after `startAgain`. */
  connectorRuns(name: string): Promise<void>;
  /** Resolves when the slot is free; who drops it is the caller. */
  deleteConnector(name: string): Promise<void>;
}

interface ConnectorStatus {
  connector: { state: string; trace?: string };
  tasks: { state: string; trace?: string }[];
}

const connectSettings = {
  'group.id': 'connect',
  'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'config.storage.topic': 'connect-configs',
  'config.storage.replication.factor': '1',
  'offset.storage.topic': 'connect-offsets',
  'offset.storage.replication.factor': '1',
  'offset.storage.partitions': '1',
  'status.storage.topic': 'connect-status',
  'status.storage.replication.factor': '1',
  'status.storage.partitions': '1',
  'offset.flush.interval.ms': '1000',
  // A worker that comes back after a crash takes its connectors once the session of the one before is over.
  'scheduled.rebalance.max.delay.ms': '0',
  'session.timeout.ms': '6000',
  'heartbeat.interval.ms': '1500',
  'plugin.discovery': 'service_load',
};

const connectorTimeoutMs = 120_000;

/** A worker of its own in a temporary folder: `await using`. Resolves when it takes connectors. */
export async function startConnect(
  broker: KafkaBroker,
  { plugins = ['debezium'], settings = {}, jvm = [] }: ConnectOptions = {},
): Promise<KafkaConnect> {
  const pluginFolders: string[] = [];
  for (const plugin of plugins) pluginFolders.push(await fetchJars(plugin));
  const port = await reusablePort();
  const url = `http://127.0.0.1:${port}`;
  const temp = tempDir();
  writeProperties(join(temp.path, 'connect.properties'), {
    ...connectSettings,
    'bootstrap.servers': broker.address(),
    listeners: url,
    'plugin.path': pluginFolders.join(','),
    ...settings,
  });
  const program = {
    name: 'connect',
    jarFolder: broker.jarFolder,
    jvm: [
      '-Xms64m',
      '-Xmx1g',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-Dorg.slf4j.simpleLogger.log.io.debezium=info',
      ...jvm,
      ...['-cp', broker.classPath],
    ],
    command: ['org.apache.kafka.connect.cli.ConnectDistributed', 'connect.properties'],
    cwd: temp.path,
    logFile: join(temp.path, 'connect.log'),
  };
  const server = await startJavaServer(temp, program, () => isHealthy(url));
  const configs = new Map<string, ConnectorConfig>();
  const address = (name: string, path = '') => `${url}/connectors/${encodeURIComponent(name)}${path}`;

  async function connectorRuns(name: string): Promise<void> {
    const config = configs.get(name)!;
    const isRunning = async () => {
      const status = (await request(address(name, '/status'))) as ConnectorStatus | undefined;
      const parts = status === undefined ? [] : [status.connector, ...status.tasks];
      const failed = parts.find(({ state }) => state === 'FAILED');
      if (failed !== undefined) throw new Error(`Connector ${name} failed: ${failed.trace}`);
      // A task is "running" while it still connects to the database.
      return parts.length > 1 && parts.every(({ state }) => state === 'RUNNING') && isSlotActive(config);
    };
    await waitFor(isRunning, { what: `connector ${name} to stream`, timeoutMs: connectorTimeoutMs });
  }

  return Object.assign(server, {
    url,
    connectorRuns,
    async putConnector(name: string, config: ConnectorConfig) {
      const put = () => request(address(name, '/config'), { method: 'PUT', body: JSON.stringify(config) });
      // Undefined while the workers are finding each other.
      await waitFor(put, { what: `Connect to take ${name}`, timeoutMs: connectorTimeoutMs });
      configs.set(name, config);
      await connectorRuns(name);
    },
    async deleteConnector(name: string) {
      const config = configs.get(name)!;
      await request(address(name), { method: 'DELETE' });
      configs.delete(name);
      const isFree = async () => !(await isSlotActive(config));
      await waitFor(isFree, { what: `connector ${name} to leave its slot`, timeoutMs: connectorTimeoutMs });
    },
  });
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false; // nobody listens yet
  }
}

/**
 * @returns the body; undefined when the answer is "not now", or that there is no such thing yet
 * @throws Error with the message of Connect
 */
async function request(url: string, { method = 'GET', body }: { method?: string; body?: string } = {}) {
  const response = await fetch(url, { method, body, headers: { 'content-type': 'application/json' } });
  const text = await response.text();
  if (response.status === 404 || response.status === 409) return undefined;
  if (!response.ok) throw new Error(`Connect answers ${method} ${url} with ${response.status}: ${text}`);
  return text === '' ? {} : JSON.parse(text);
}

/** The walsender of a slot is the last thing that a connector starts. */
async function isSlotActive(config: ConnectorConfig): Promise<boolean> {
  const client = new pg.Client({
    host: config['database.hostname'],
    port: Number(config['database.port']),
    user: config['database.user'],
    password: config['database.password'],
    database: config['database.dbname'],
  });
  await client.connect();
  try {
    const { rows } = await client.query('SELECT active FROM pg_replication_slots WHERE slot_name = $1', [
      config['slot.name'],
    ]);
    return rows[0]?.active === true;
  } finally {
    await client.end();
  }
}
