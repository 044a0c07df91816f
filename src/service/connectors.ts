import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import type { Problem } from '../observe/status.ts';
import { ConnectApi, type Connector } from '../sources/kafka/connect-api.ts';

export interface PipelineConnectors {
  /** Of the REST API, without user and password. */
  address: string;
  version: string;
  /** Debezium's PostgreSQL connectors that write topics of the pipeline. */
  own: Connector[];
}

/**
 * Asks Kafka Connect for the connectors of a pipeline: those of which a topic matches `patterns`.
 * Throws CONNECTOR_MISSING when there is none, CONNECT_UNREACHABLE, CONNECT_AUTH.
 */
export async function findConnectors(
  url: string,
  patterns: readonly string[],
  topics: readonly string[],
): Promise<PipelineConnectors> {
  const api = new ConnectApi(url);
  const version = await api.version();
  const all = await api.connectors();
  const ofPostgres = all.filter(({ config }) =>
    /\.postgresql\.PostgresConnector$/.test(config['connector.class'] ?? ''),
  );
  const writing = ofPostgres.filter(connector => writesTopics(connector, patterns, topics));
  // Before there are topics, patterns of single tables match none that is made up.
  const own = writing.length === 0 && topics.length === 0 && ofPostgres.length === 1 ? ofPostgres : writing;
  if (own.length === 0) throw missing(api.address, patterns, ofPostgres, all);
  return { address: api.address, version, own };
}

export function topicPrefix({ config }: Connector): string {
  return config['topic.prefix'] ?? '';
}

function writesTopics(connector: Connector, patterns: readonly string[], topics: readonly string[]): boolean {
  const prefix = `${topicPrefix(connector)}.`;
  if (topics.some(topic => topic.startsWith(prefix))) return true;
  // Its topics are made with the first row of each table.
  return patterns.some(pattern => new RegExp(`^(?:${pattern})$`).test(`${prefix}public.t`));
}

function missing(
  address: string,
  patterns: readonly string[],
  ofPostgres: readonly Connector[],
  all: readonly Connector[],
): CdcError {
  const list = (connectors: readonly Connector[], describe: (connector: Connector) => string) =>
    connectors.map(describe).join(', ');
  const what =
    ofPostgres.length > 0
      ? `none of its connectors for PostgreSQL writes topics that match ${patterns.join(', ')}: ${list(ofPostgres, one => `${one.name} has topic.prefix ${topicPrefix(one)}`)}`
      : all.length > 0
        ? `no connector is Debezium's for PostgreSQL: ${list(all, one => one.name)}`
        : 'it has no connectors';
  return new CdcError('CONNECTOR_MISSING', `Kafka Connect at ${address}: ${what}`);
}

/** As `status` shows a connector; without its settings, which have secrets. */
export interface ConnectorStatus {
  name: string;
  state: string;
  /** Why it failed. */
  reason?: string;
  tasks: { id: number; state: string; reason?: string }[];
}

export function describeConnector({ name, connector, tasks }: Connector): ConnectorStatus {
  return { name, ...connector, tasks };
}

export interface ConnectStatus {
  connectors: ConnectorStatus[];
  /** Why they could not be asked for. */
  problem?: Problem;
}

/** How the connectors of the pipeline are; undefined without `kafka.connect`, or for a pipeline that reads no topics. */
export async function readConnectStatus(
  { kafka: { connect, topics } }: Config,
  partitions: readonly { topic: string }[] | undefined,
): Promise<ConnectStatus | undefined> {
  if (connect === undefined || !partitions) return undefined;
  try {
    const { own } = await findConnectors(connect, topics, [...new Set(partitions.map(({ topic }) => topic))]);
    return { connectors: own.map(describeConnector) };
  } catch (error) {
    const { code, message, hint } = asCdcError(error);
    return { connectors: [], problem: { code, message, hint } };
  }
}

/** Whether no changes come: the connector or a task has failed. */
export function hasFailed({ state, tasks }: ConnectorStatus): boolean {
  return [state, ...tasks.map(task => task.state)].includes('FAILED');
}
