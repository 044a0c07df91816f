import type pg from 'pg';
import { matchesPattern, unmatchedPatterns } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatLsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Connector } from '../sources/kafka/connect-api.ts';
import { describeTables, systemSchemas } from '../sources/wal/catalog.ts';
import { connect, describeAddress, queryError, quoteLiteral } from '../sources/wal/connect.ts';
import { inspectSlot } from '../sources/wal/slot.ts';
import { TypeCatalog } from '../sources/wal/types.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import { diagnoseTls, diagnoseVersion, readServerFacts, type ServerFacts } from './doctor-server.ts';
import { diagnoseRetainedWal } from './doctor-stream.ts';
import type { PublishedScope } from './source-setup.ts';

/** The PostgreSQL that the connector reads, for its catalog and single rows. Undefined when it cannot be asked. */
export async function diagnoseCatalog(
  config: Config,
  connectors: readonly Connector[],
  findings: Findings,
): Promise<pg.Client | undefined> {
  const address = config.postgres.address!;
  const client = await connect(address).catch(error => {
    findings.fail('PostgreSQL', asCdcError(error));
    return undefined;
  });
  if (!client) return undefined;
  try {
    const facts = await readServerFacts(client, config.postgres.slot);
    findings.ok('PostgreSQL', `version ${facts.versionText} at ${describeAddress(address.url)}`);
    const isUsable = diagnoseVersion(facts, findings);
    diagnoseTls(facts, findings);
    if (facts.standby)
      findings.fail(
        'PostgreSQL',
        new CdcError(
          'SOURCE_STANDBY',
          'the server is a standby: large values that an update leaves out cannot be looked up there',
        ),
      );
    if (facts.walLevel !== 'logical')
      findings.warn(
        'wal_level',
        `${facts.walLevel}: no connector can read changes from this server`,
        "As a superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL. Or correct postgres.url.",
      );
    if (facts.slotKeepMb < 0)
      findings.warn(
        'max_slot_wal_keep_size',
        '-1: while the connector is away, PostgreSQL keeps WAL without limit, until its disk is full',
        'Set it to what the disk can spare; a connector that is away for longer needs a new snapshot.',
      );
    diagnoseDatabase(facts, connectors, findings);
    await diagnoseSlots(client, facts, config, connectors, findings);
    if (isUsable) return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw queryError(error, 'looking at the source');
  }
  await client.end();
  return undefined;
}

/** Types and rows of another database than the connector reads would be taken for its own. */
function diagnoseDatabase(
  { database }: ServerFacts,
  connectors: readonly Connector[],
  findings: Findings,
): void {
  for (const { name, config } of connectors) {
    const other = config['database.dbname'];
    if (other !== undefined && other !== database)
      findings.fail(
        'PostgreSQL',
        new CdcError(
          'SOURCE_CHANGED',
          `connector ${name} reads database ${other}, postgres.url names ${database}`,
          { hint: 'Correct the database in postgres.url.' },
        ),
      );
  }
}

/** The slots of the connectors; without knowing them, those that may be. */
async function diagnoseSlots(
  client: pg.Client,
  facts: ServerFacts,
  { postgres }: Config,
  connectors: readonly Connector[],
  findings: Findings,
): Promise<void> {
  const known = connectors.map(({ config }) => config['slot.name'] ?? 'debezium');
  const named = known.length > 0 ? known : postgres.slotGiven ? [postgres.slot] : [];
  const names = named.length > 0 ? named : await logicalSlots(client);
  if (names.length === 0)
    findings.warn(
      'slot',
      `database ${facts.database} has no replication slot for a connector: nobody reads its changes`,
      'Start the connector, or correct postgres.url.',
    );
  for (const name of names) {
    const subject = `slot ${name}`;
    const state = await inspectSlot(client, name, facts.version);
    if (!state) {
      findings.warn(
        subject,
        'does not exist: the connector has not started here yet',
        'Start the connector.',
      );
      continue;
    }
    if (state.walStatus === 'lost' || state.invalidationReason) {
      const lost = new CdcError(
        'SLOT_LOST',
        `PostgreSQL invalidated it (${state.invalidationReason ?? 'wal_removed'}): changes are missing in the topics`,
        {
          hint: 'Drop the slot and let the connector take a new snapshot, then "wal-cdc verify". Raise max_slot_wal_keep_size.',
        },
      );
      if (named.length > 0) findings.fail(subject, lost);
      else findings.warn(subject, lost.message, lost.hint);
      continue;
    }
    if (state.activePid === null)
      findings.warn(
        subject,
        `at ${formatLsn(state.confirmedFlush)}, and nobody reads it: no changes come`,
        'Start the connector; or drop the slot, if nobody uses it any more: it keeps WAL.',
      );
    else
      findings.ok(
        subject,
        `at ${formatLsn(state.confirmedFlush)}, read by process ${state.activePid} (${state.activeBy ?? 'unknown'})`,
      );
    diagnoseRetainedWal(subject, state, findings, 'connector');
  }
}

/** Without those that wal-cdc makes itself. */
async function logicalSlots(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    SELECT slot_name AS name FROM pg_replication_slots
     WHERE database = current_database() AND plugin IN ('pgoutput', 'decoderbufs') AND NOT temporary
       AND slot_name NOT LIKE 'wal\\_cdc\\_%' ORDER BY 1`);
  return rows.map(({ name }) => name);
}

interface CatalogTable {
  schema: string;
  name: string;
  hasRows: boolean;
}

/** Tables that are wanted and that no topic carries; patterns that match nothing. Returns the tables that are wanted. */
export async function diagnoseUncarried(
  client: pg.Client,
  config: Config,
  carried: ReadonlySet<string>,
  findings: Findings,
): Promise<Pick<PublishedScope, 'tables' | 'unmatchedExclude'>> {
  const { rows } = await client.query<CatalogTable>(`
    SELECT n.nspname AS schema, c.relname AS name,
           EXISTS (SELECT FROM pg_class l WHERE pg_relation_size(l.oid) > 0
                    AND (l.oid = c.oid OR l.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf))) AS "hasRows"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition AND ${systemSchemas}
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY 1, 2`);
  const wanted = rows.filter(({ schema, name }) =>
    matchesPattern(config.tables, config.exclude, schema, name),
  );
  const absent = wanted.filter(table => !carried.has(qualifiedName(table)));
  const withRows = absent.filter(table => table.hasRows).map(qualifiedName);
  const empty = absent.filter(table => !table.hasRows).map(qualifiedName);
  if (withRows.length > 0)
    findings.warn(
      'tables',
      `no topic carries ${count(withRows.length, 'table')} with rows: ${shorten(withRows)}`,
      "Add them to the connector's publication and table.include.list, and let it take a snapshot of them; widen kafka.topics; or leave them out with exclude.",
    );
  if (empty.length > 0)
    findings.ok(
      'tables',
      `no topic carries ${count(empty.length, 'empty table')} yet: ${shorten(empty)}; one is made with the first row`,
    );
  const names = [...rows, ...[...carried].map(splitName)];
  const unmatched = unmatchedPatterns(config.tables, names);
  if (unmatched.length > 0)
    findings.warn(
      'tables',
      `no table matches ${unmatched.map(text => `"${text}"`).join(', ')}, in database or topics`,
      'Correct the pattern, or remove it.',
    );
  const described = wanted.map(table => ({ ...table, columns: undefined, rowFilter: undefined }));
  return {
    tables: await describeTables(client, new TypeCatalog(), described, true),
    unmatchedExclude: unmatchedPatterns(config.exclude, names),
  };
}

function splitName(name: string): { schema: string; name: string } {
  const dot = name.indexOf('.');
  return { schema: name.slice(0, dot), name: name.slice(dot + 1) };
}

/** What the catalog says of a table that matters for a connector alone. */
export interface ConnectorTraits {
  /** Columns that may be NULL and have a default. */
  defaults: string[];
  /** The partitioned table that it is a part of. */
  partitionOf: string | null;
}

export async function readConnectorTraits(
  client: pg.Client,
  tables: readonly { schema: string; name: string }[],
): Promise<Map<string, ConnectorTraits>> {
  if (tables.length === 0) return new Map();
  const list = tables.map(({ schema, name }) => `(${quoteLiteral(schema)}, ${quoteLiteral(name)})`);
  const { rows } = await client.query<ConnectorTraits & { schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attnotnull
                    AND a.atthasdef AND a.attgenerated = '' ORDER BY a.attnum) AS defaults,
           CASE WHEN c.relispartition THEN
             (SELECT s.nspname || '.' || p.relname FROM pg_class p JOIN pg_namespace s ON s.oid = p.relnamespace
               WHERE p.oid = pg_partition_root(c.oid)) END AS "partitionOf"
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (n.nspname, c.relname) IN (${list.join(', ')})`);
  return new Map(rows.map(({ schema, name, ...traits }) => [qualifiedName({ schema, name }), traits]));
}
