import { matchesPattern } from '../config/table-patterns.ts';
import { type Config, columnOptions, tableOptions } from '../config.ts';
import { formatCount, formatMs } from '../observe/format-status.ts';
import { type SourceTable, systemSchemas } from '../sources/wal/catalog.ts';
import { quoteTable } from '../sources/wal/connect.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import { findInvalidValue } from './invalid-values.ts';
import type { PublishedScope, SourceSession } from './source-setup.ts';
import type { TableFit } from './table-fit.ts';

/** What the catalog says of a table beyond `SourceTable`. */
interface TableTraits {
  generated: string[];
  deferrableKey: boolean;
  /** Columns of the replica identity, as PostgreSQL sees it. */
  identity: string[];
  partitions: number;
  /** Columns of the publication's row filter. */
  filtered: string[];
  /** The publication's column list; null without one. */
  listed: string[] | null;
}

/** What matches the patterns but is no table that can be replicated. */
export async function diagnoseLeftOut(
  { client }: SourceSession,
  config: Config,
  scope: PublishedScope,
  findings: Findings,
): Promise<void> {
  const { rows } = await client.query<{ schema: string; name: string; kind: string }>(`
    SELECT n.nspname AS schema, c.relname AS name,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                          ELSE 'unlogged table' END AS kind
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (c.relkind IN ('v', 'm', 'f') OR c.relkind IN ('r', 'p') AND c.relpersistence = 'u')
       AND NOT c.relispartition AND ${systemSchemas}
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY 1, 2`);
  const matching = rows.filter(({ schema, name }) =>
    matchesPattern(config.tables, config.exclude, schema, name),
  );
  for (const kind of new Set(matching.map(row => row.kind))) {
    const names = matching.filter(row => row.kind === kind).map(row => `${row.schema}.${row.name}`);
    const message = `left out: ${count(names.length, kind)}: ${shorten(names)}`;
    if (kind === 'unlogged table')
      findings.warn(
        'tables',
        `${message}; they leave no trace in the WAL`,
        'ALTER TABLE … SET LOGGED makes one replicable.',
      );
    else findings.ok('tables', message);
  }
  for (const { name, reason } of scope.skipped)
    findings.warn(name, `left out: ${reason}`, 'Add a column, or exclude the table.');
}

/** One line for each table, and one for each thing about it that should be known before it is replicated. */
export async function diagnoseTables(
  source: SourceSession,
  config: Config,
  scope: PublishedScope,
  fits: readonly TableFit[],
  options: { fast: boolean; onScan(table: string): void },
  findings: Findings,
): Promise<void> {
  const traits = await readTraits(source, scope);
  const leavesOut = scope.publication?.leavesOut ?? [];
  const publishesOld = !leavesOut.includes('update') || !leavesOut.includes('delete');
  for (const fit of fits) {
    if (fit.problem) findings.fail(fit.name, fit.problem);
    else await diagnoseValues(source, config, fit, options, findings);
    const trait = traits.get(fit.source.id);
    if (!trait) continue;
    diagnoseKey(fit.source, trait, publishesOld, findings);
    diagnoseColumns(fit.source, trait, publishesOld, findings);
    diagnoseDurability(fit, findings);
  }
}

/** Whether what ClickHouse has taken is on its disk. */
export function diagnoseDurability(fit: Omit<TableFit, 'source'>, findings: Findings): void {
  if (!fit.plan || !fit.actual || fit.problem || /fsync_after_insert\s*=\s*1/.test(fit.actual.engine)) return;
  findings.warn(
    fit.name,
    `ClickHouse table ${target(fit)} is without fsync_after_insert: a power failure may lose rows that were acknowledged`,
    `ALTER TABLE ${target(fit)} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;`,
  );
}

export function target({ plan }: Pick<TableFit, 'plan'>): string {
  return `${plan!.name.database}.${plan!.name.table}`;
}

/** Reads every row of a table that is yet to be copied, unless `fast`. */
export async function diagnoseValues(
  { client }: Pick<SourceSession, 'client'>,
  config: Config,
  fit: TableFit,
  { fast, onScan }: { fast: boolean; onScan(table: string): void },
  findings: Findings,
): Promise<void> {
  const { source, plan, actual, state } = fit;
  const key = source.key.length > 0 ? `, told apart by (${source.key.join(', ')})` : '';
  const what = `→ ${target(fit)}${key}`;
  if (state?.phase === 'streaming') {
    findings.ok(fit.name, `${what}; replicated already`);
    return;
  }
  const rows =
    source.estimatedRows === 0
      ? 'empty or never analyzed'
      : `about ${formatCount(source.estimatedRows)} rows`;
  if (fast) {
    findings.ok(fit.name, `${what}, ${rows}; values not looked at`);
    return;
  }
  onScan(fit.name);
  const types = actual?.columns ?? new Map(plan!.columns.map(column => [column.name, column.type]));
  const onInvalid = (column: string) => columnOptions(config, source.schema, source.name, column).onInvalid;
  const startedAt = performance.now();
  const invalid = await findInvalidValue(client, source, { name: fit.name, types, onInvalid });
  if (invalid && tableOptions(config, source.schema, source.name).onError === 'dead-letter')
    findings.warn(fit.name, `${invalid.message}: such rows go to the dead letters`, invalid.hint);
  else if (invalid) findings.fail(fit.name, invalid);
  else
    findings.ok(
      fit.name,
      `${what}, ${rows}; every value fits (looked at in ${formatMs(performance.now() - startedAt)})`,
    );
}

function diagnoseKey(
  table: SourceTable,
  trait: TableTraits,
  publishesOld: boolean,
  findings: Findings,
): void {
  const name = `${table.schema}.${table.name}`;
  const quoted = quoteTable(table);
  if (publishesOld && trait.identity.length === 0 && !table.partitioned) {
    const why =
      table.replicaIdentity === 'n'
        ? 'has REPLICA IDENTITY NOTHING'
        : table.replicaIdentity === 'i'
          ? 'has a replica identity index that was dropped'
          : trait.deferrableKey
            ? 'has a deferrable primary key, which does not tell rows apart'
            : 'has no primary key';
    const way =
      table.keyRule === 'primary-key'
        ? `ALTER TABLE ${quoted} REPLICA IDENTITY DEFAULT;`
        : `Add a primary key; or a unique index over NOT NULL columns, and ALTER TABLE ${quoted} REPLICA IDENTITY USING INDEX …; or exclude the table.`;
    findings.warn(name, `${why}: PostgreSQL refuses UPDATE and DELETE on it while it is published`, way);
  } else if (table.keyRule === 'keyless')
    findings.warn(
      name,
      `has no key${trait.deferrableKey ? ' (its primary key is deferrable)' : ''}: rows are appended, and the first UPDATE or DELETE stops the table`,
      'If its rows change, add a primary key, or a unique index over NOT NULL columns.',
    );
}

function diagnoseColumns(
  table: SourceTable,
  trait: TableTraits,
  publishesOld: boolean,
  findings: Findings,
): void {
  const name = `${table.schema}.${table.name}`;
  const generated = trait.generated.filter(column => !table.columns.some(other => other.name === column));
  if (generated.length > 0)
    findings.warn(
      name,
      `generated ${generated.length === 1 ? 'column' : 'columns'} ${generated.join(', ')} left out: not published`,
      'If needed, compute them in ClickHouse, or (PostgreSQL 18) SET (publish_generated_columns = stored) on the publication.',
    );
  if (table.rowFilter) findings.ok(name, `the publication has only rows WHERE ${table.rowFilter}`);
  if (!publishesOld || trait.identity.length === 0) return;
  const unknown = trait.filtered.filter(column => !trait.identity.includes(column));
  if (unknown.length > 0)
    findings.warn(
      name,
      `the publication's row filter uses ${unknown.join(', ')}, not in the replica identity: PostgreSQL refuses UPDATE and DELETE on it`,
      `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; or filter by key columns only.`,
    );
  const unlisted = trait.listed ? trait.identity.filter(column => !trait.listed!.includes(column)) : [];
  if (unlisted.length > 0)
    findings.warn(
      name,
      `the publication's column list lacks ${unlisted.join(', ')} of the replica identity: PostgreSQL refuses UPDATE and DELETE on it`,
      'Add these columns to the list.',
    );
}

async function readTraits(
  { client, info }: SourceSession,
  { tables, publication }: PublishedScope,
): Promise<Map<number, TableTraits>> {
  if (tables.length === 0) return new Map();
  const names = (where: string) => `ARRAY(SELECT a.attname::text FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ${where} ORDER BY a.attnum)`;
  // Both exist since 15. A filter is an expression tree, in which columns are numbers.
  const published =
    info.serverVersion >= 150000 && publication
      ? `coalesce((SELECT array_agg(m[1]::int) FROM pg_publication_rel r, regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') m
                    WHERE r.prrelid = c.oid AND r.prpubid = ${publication.oid}), '{}') AS filtered,
         (SELECT r.prattrs::int2[]::int[] FROM pg_publication_rel r
           WHERE r.prrelid = c.oid AND r.prpubid = ${publication.oid}) AS listed`
      : `'{}'::int[] AS filtered, NULL::int[] AS listed`;
  const { rows } = await client.query<TableTraits & { oid: number }>(`
    SELECT t.oid::int8::float8 AS oid, t.generated, t."deferrableKey", t.identity, t.partitions,
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (t.filtered)) AS filtered,
           CASE WHEN t.listed IS NULL THEN NULL
                ELSE ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (t.listed))
           END AS listed
      FROM (SELECT c.oid, ${names("a.attgenerated <> ''")} AS generated,
                   EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND NOT i.indimmediate)
                     AS "deferrableKey",
                   CASE c.relreplident
                     WHEN 'f' THEN ${names('true')}
                     WHEN 'n' THEN '{}'
                     ELSE ${names(`EXISTS (
                            SELECT FROM pg_index i
                             WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid
                               AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
                               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))`)}
                   END AS identity,
                   (SELECT count(*)::int FROM pg_partition_tree(c.oid) WHERE isleaf AND relid <> c.oid) AS partitions,
                   ${published}
              FROM pg_class c WHERE c.oid IN (${tables.map(table => table.id).join(',')})) t`);
  return new Map(rows.map(({ oid, ...trait }) => [oid, trait]));
}
