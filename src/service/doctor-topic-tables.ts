import type pg from 'pg';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Connector } from '../sources/kafka/connect-api.ts';
import { quoteTable } from '../sources/wal/connect.ts';
import { keepsNulls } from './connector-profile.ts';
import { topicPrefix } from './connectors.ts';
import { findLosses } from './debezium-losses.ts';
import { type ConnectorTraits, readConnectorTraits } from './doctor-catalog.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import { diagnoseDurability, diagnoseValues, target } from './doctor-tables.ts';
import { tableOfTopic } from './topic-relations.ts';
import { type NullHandling, type SampledTable, type TopicSample, wantedTables } from './topic-samples.ts';
import { fitTopicTable, type TopicTableFit, type TopicTableFitOptions } from './topic-table-fit.ts';

export interface TopicTablesDiagnosis extends TopicTableFitOptions {
  samples: readonly TopicSample[];
  connectors: readonly Connector[];
  /** A session of the source, when it can be asked. */
  client: pg.Client | undefined;
  fast: boolean;
  onScan(table: string): void;
}

/** One line for each table that messages show, and one for each thing about it that should be known. */
export async function diagnoseTopicTables(
  options: TopicTablesDiagnosis,
  findings: Findings,
): Promise<TopicTableFit[]> {
  const { config, samples, client } = options;
  const tables = wantedTables(config, samples);
  const all = samples.flatMap(sample => [...sample.tables.keys()]);
  const leftOut = [...new Set(all)].filter(name => !tables.has(name));
  if (leftOut.length > 0)
    findings.ok(
      'tables',
      `left out by "tables" and "exclude": ${count(leftOut.length, 'table')}: ${shorten(leftOut)}`,
    );
  const traits = client
    ? await readConnectorTraits(
        client,
        [...tables.values()].map(({ relation }) => relation),
      )
    : new Map<string, ConnectorTraits>();
  const fits: TopicTableFit[] = [];
  for (const [name, table] of tables) {
    const fit = await fitTopicTable(table.relation, options);
    fits.push(fit);
    if (fit.problem) findings.fail(name, fit.problem);
    else await diagnoseRows(fit, options, findings);
    diagnoseKey(fit, table, findings);
    diagnoseSource(fit, table, traits.get(name), options, findings);
    diagnoseNulls(name, table, traits.get(name), options.connectors, findings);
    diagnoseDurability(fit, findings);
  }
  return fits;
}

async function diagnoseRows(
  fit: TopicTableFit,
  { config, client, connectors, fast, onScan }: TopicTablesDiagnosis,
  findings: Findings,
): Promise<void> {
  const { source, table, actual } = fit;
  if (!source || !client || source.unreadable) {
    const key = table!.key.length > 0 ? `, told apart by (${table!.key.join(', ')})` : '';
    const types = source ? 'PostgreSQL' : actual ? 'the ClickHouse table' : 'the schemas of messages';
    findings.ok(fit.name, `→ ${target(fit)}${key}; types from ${types}`);
    return;
  }
  const looks = !fast && fit.state?.phase !== 'streaming';
  if (looks) onScan(fit.name);
  const [connector] = connectors;
  const { kafka } = config;
  const modes = connector ? modesOf(connector, kafka.connector) : kafka.connector;
  const losses = looks ? await findLosses(client, source, modes) : [];
  // What does not arrive needs no room.
  const arriving = source.columns.filter(
    ({ name }) => !losses.some(({ column, toNull }) => toNull && column === name),
  );
  const arrived = { ...source, columns: arriving };
  await diagnoseValues({ client }, config, { ...fit, source: arrived }, { fast, onScan }, findings);
  for (const { column, rows, what } of losses)
    findings.warn(
      fit.name,
      `column "${column}" has ${count(rows, 'row')} with values that Debezium changes: ${what}`,
      'See docs/types.md, "What Debezium changes"; mode wal carries them.',
    );
}

/** As the connector is set up, where that is known. */
function modesOf(
  { config }: Connector,
  ours: Config['kafka']['connector'],
): Pick<Config['kafka']['connector'], 'decimals' | 'times' | 'intervals'> {
  const known = <T extends string>(name: string, fallback: T) => (config[name] ?? fallback) as T;
  return {
    decimals: known<typeof ours.decimals>('decimal.handling.mode', 'precise'),
    times: known<typeof ours.times>('time.precision.mode', 'adaptive'),
    intervals: known<typeof ours.intervals>('interval.handling.mode', 'numeric'),
  };
}

function diagnoseKey(fit: TopicTableFit, { withoutKey }: SampledTable, findings: Findings): void {
  const { table, name } = fit;
  if (!table || fit.problem) return;
  if (table.keyRule === 'keyless')
    findings.warn(
      name,
      'has no key: rows are appended, those that the connector delivers twice are there twice, and the first UPDATE or DELETE stops the table',
      'If its rows change, add a primary key; or set message.key.columns in the connector, and make the ClickHouse table ordered by it.',
    );
  else if (withoutKey > 0)
    findings.warn(
      name,
      `is told apart by (${table.key.join(', ')}), but its messages have no key`,
      'Let the connector write keys (message.key.columns), so that all changes of a row are in one partition and topics may be compacted.',
    );
}

function diagnoseSource(
  { name, source }: TopicTableFit,
  { relation }: SampledTable,
  traits: ConnectorTraits | undefined,
  { client }: TopicTablesDiagnosis,
  findings: Findings,
): void {
  if (!client) return;
  if (!source) {
    findings.warn(
      name,
      'PostgreSQL has no such table: it was dropped or renamed, or postgres.url names another database than the connector reads',
      'Correct postgres.url, or leave the table out with exclude.',
    );
    return;
  }
  if (traits?.partitionOf)
    findings.warn(
      name,
      `is a partition of ${traits.partitionOf}: it becomes a table of its own`,
      'Use a publication WITH (publish_via_partition_root = true), and leave the partitions out with exclude.',
    );
  if (source.unreadable) {
    const looksUp = source.replicaIdentity !== 'f' && source.columns.some(column => column.toastable);
    const hint = `GRANT SELECT ON ${quoteTable(source)} TO the role in postgres.url.`;
    if (looksUp)
      findings.fail(
        name,
        new CdcError(
          'TABLE_UNREADABLE',
          `${source.unreadable}: a large value that an update leaves out could not be looked up, and verify cannot compare`,
          { hint },
        ),
      );
    else findings.warn(name, `${source.unreadable}: verify cannot compare it`, hint);
  }
  const missing = source.columns.filter(
    column => !relation.columns.some(other => other.name === column.name),
  );
  if (missing.length > 0)
    findings.warn(
      name,
      `its messages lack ${shorten(missing.map(column => column.name))}: the connector leaves ${missing.length === 1 ? 'it' : 'them'} out, or no row was written since ${missing.length === 1 ? 'it was' : 'they were'} added`,
      'Set include.unknown.datatypes=true in the connector, and look at column.include.list and column.exclude.list.',
    );
}

/** The converter's fault of writing the default for a NULL. */
function diagnoseNulls(
  name: string,
  table: SampledTable,
  traits: ConnectorTraits | undefined,
  connectors: readonly Connector[],
  findings: Findings,
): void {
  if (!traits || traits.defaults.length === 0) return;
  const nulls = nullsOf(table, connectors);
  if (nulls === 'kept') return;
  const columns = shorten(traits.defaults);
  const hint =
    'Set value.converter.replace.null.with.default=false in the connector (with JsonConverter; the Avro converter cannot do it).';
  if (nulls === 'replaced')
    findings.warn(
      name,
      `a NULL in ${columns} arrives as the default of the column, and nothing can tell`,
      hint,
    );
  else
    findings.warn(
      name,
      `whether a NULL in ${columns} arrives as such, or as the default of the column, these messages do not show`,
      `--connect shows it, and so do messages of changes in JSON. ${hint}`,
    );
}

function nullsOf({ topic, nulls }: SampledTable, connectors: readonly Connector[]): NullHandling {
  const connector = connectors.find(one => topic.startsWith(`${topicPrefix(one)}.`));
  const keeps = connector && keepsNulls(connector.config);
  return keeps === undefined ? nulls : keeps ? 'kept' : 'replaced';
}

/** Tables that a topic carries, by the messages or else by the names of topics. */
export function carriedTables(samples: readonly TopicSample[]): Set<string> {
  return new Set(
    samples.flatMap(({ topic, tables }) =>
      tables.size > 0 ? [...tables.keys()] : [qualifiedName(tableOfTopic(topic.name))],
    ),
  );
}
