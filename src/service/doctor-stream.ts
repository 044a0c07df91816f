import type { Config } from '../config.ts';
import type { Checkpoint } from '../core/checkpoint.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatLsn, parseLsn } from '../core/lsn.ts';
import { qualifiedName } from '../core/relation.ts';
import { formatBytes } from '../observe/format-status.ts';
import { quoteIdent, quoteLiteral } from '../sources/wal/connect.ts';
import { buildAddTablesSql, buildCreatePublicationSql } from '../sources/wal/publication.ts';
import { checkSlot, checkSlotAgainstCheckpoint, inspectSlot, type SlotState } from '../sources/wal/slot.ts';
import { count, type Findings, shorten } from './doctor-findings.ts';
import type { PublishedScope, SourceSession } from './source-setup.ts';

/** The publication: whether it is there, or may be made, and what it leaves out. */
export async function diagnosePublication(
  source: SourceSession,
  config: Config,
  scope: PublishedScope,
  checkpoint: Checkpoint | undefined,
  findings: Findings,
): Promise<void> {
  const { publication: name } = config.postgres;
  const subject = `publication ${name}`;
  const { publication, missing } = scope;
  if (!publication && checkpoint) {
    const gone = new CdcError('PUBLICATION_MISSING', 'it was dropped: changes since may be missing', {
      hint: 'Run "wal-cdc teardown" and start again: the tables are copied afresh.',
    });
    findings.fail(subject, gone);
    return;
  }
  const hindrance = missing.length > 0 ? await whyNotPublish(source, name, scope) : undefined;
  if (hindrance) findings.fail(subject, hindrance);
  else if (!publication) findings.ok(subject, `run creates it for ${count(missing.length, 'table')}`);
  else if (missing.length > 0)
    findings.ok(
      subject,
      `run adds ${count(missing.length, 'table')} to it: ${missing.map(qualifiedName).join(', ')}`,
    );
  else {
    const absent = await withoutPartitions(source, name, scope.unpublished);
    if (absent.length === 0) findings.ok(subject, 'exists, and has every table');
    else
      findings.warn(
        subject,
        `${count(absent.length, 'table')} that "tables" names ${absent.length === 1 ? 'is' : 'are'} not in it, and not replicated: ${shorten(absent.map(qualifiedName))}`,
        `As its owner: ${buildAddTablesSql(name, absent)}; or leave them out with "tables" or "exclude".`,
      );
  }
  if (!publication) return;
  if (publication.leavesOut.length > 0)
    findings.warn(
      subject,
      `it leaves out ${publication.leavesOut.join(', ')}: ClickHouse will differ from PostgreSQL after these`,
      `ALTER PUBLICATION ${quoteIdent(name)} SET (publish = 'insert, update, delete, truncate');`,
    );
  if (!publication.viaRoot && (await hasPartitions(source, name)))
    findings.warn(
      subject,
      'it has publish_via_partition_root = false: every partition becomes a ClickHouse table of its own',
      `ALTER PUBLICATION ${quoteIdent(name)} SET (publish_via_partition_root = true); makes one table of them.`,
    );
}

/** Without partitioned tables of which the publication has partitions. */
async function withoutPartitions(
  { client }: SourceSession,
  publication: string,
  tables: PublishedScope['unpublished'],
): Promise<PublishedScope['unpublished']> {
  if (tables.length === 0) return [];
  const list = tables.map(table => `(${quoteLiteral(table.schema)}, ${quoteLiteral(table.name)})`).join(', ');
  const { rows } = await client.query<{ schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE (n.nspname, c.relname) IN (${list})
       AND NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid
                         JOIN pg_namespace s ON s.oid = p.relnamespace
                         JOIN pg_publication_tables m ON (m.schemaname, m.tablename) = (s.nspname, p.relname)
                        WHERE m.pubname = ${quoteLiteral(publication)})
     ORDER BY 1, 2`);
  return rows;
}

/** Why the role may not create the publication or add the missing tables. */
async function whyNotPublish(
  { client }: SourceSession,
  name: string,
  { publication, missing }: PublishedScope,
): Promise<CdcError | undefined> {
  const list = missing
    .map(table => `(${quoteLiteral(table.schema)}, ${quoteLiteral(table.name)})`)
    .join(', ');
  const { rows } = await client.query<{ foreign: string[]; may: boolean; database: string }>(`
    SELECT ARRAY(SELECT n.nspname || '.' || c.relname
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE (n.nspname, c.relname) IN (${list}) AND NOT pg_has_role(c.relowner, 'USAGE')
                  ORDER BY 1) AS foreign,
           coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = ${quoteLiteral(name)}),
                    has_database_privilege(current_database(), 'CREATE')) AS may,
           current_database() AS database`);
  const { foreign, may, database } = rows[0]!;
  if (may && foreign.length === 0) return undefined;
  const lacks = [
    ...(may ? [] : [publication ? 'does not own it' : `may not CREATE in database ${database}`]),
    ...(foreign.length > 0 ? [`does not own ${shorten(foreign)}`] : []),
  ];
  return new CdcError(
    'PUBLICATION_MISSING',
    `${publication ? `${count(missing.length, 'table')} cannot be added` : 'it does not exist and cannot be created'}: the role ${lacks.join(' and ')}`,
    {
      hint: publication
        ? `As its owner: ${buildAddTablesSql(name, missing)};`
        : `As owner of the tables: ${buildCreatePublicationSql(name, missing)};`,
    },
  );
}

async function hasPartitions({ client }: SourceSession, publication: string): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(`
    SELECT EXISTS (SELECT FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
                     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
                    WHERE t.pubname = ${quoteLiteral(publication)} AND c.relispartition) AS found`);
  return rows[0]!.found;
}

/** The slot: whether it is there, usable, free, and what WAL it keeps. */
export async function diagnoseSlot(
  source: SourceSession,
  config: Config,
  checkpoint: Checkpoint | undefined,
  findings: Findings,
): Promise<void> {
  const { slot: name } = config.postgres;
  const subject = `slot ${name}`;
  const state = await inspectSlot(source.client, name, source.info.serverVersion);
  try {
    if (state) checkSlot(name, state, source.info.database);
    if (checkpoint) checkSlotAgainstCheckpoint(name, state, parseLsn(checkpoint.position));
    if (state) findings.ok(subject, `exists, at ${formatLsn(state.confirmedFlush)}, not in use`);
    else findings.ok(subject, 'run creates it');
  } catch (error) {
    const failure = asCdcError(error);
    if (failure.code === 'SLOT_IN_USE' && state!.activeBy?.startsWith('wal-cdc'))
      findings.ok(subject, `a service streams from it: process ${state!.activePid} (${state!.activeBy})`);
    else findings.fail(subject, failure);
  }
  if (state) diagnoseRetainedWal(subject, state, findings);
  if (checkpoint && source.info.systemId !== '' && checkpoint.systemId !== source.info.systemId)
    findings.fail(
      'checkpoint',
      new CdcError(
        'SOURCE_CHANGED',
        `it is of PostgreSQL system ${checkpoint.systemId}, this is system ${source.info.systemId}`,
      ),
    );
}

/** `reader`: who is to start soon when little WAL is left. */
export function diagnoseRetainedWal(
  subject: string,
  state: SlotState,
  findings: Findings,
  reader = 'service',
): void {
  const { walStatus, retainedBytes, safeBytes } = state;
  if (walStatus === 'lost') return;
  const kept = `keeps ${formatBytes(retainedBytes)} of WAL`;
  const left = safeBytes === null ? '' : `, ${formatBytes(Math.max(0, safeBytes))} more until it is lost`;
  if (walStatus === 'unreserved' || (safeBytes !== null && safeBytes < retainedBytes / 4))
    findings.warn(subject, `${kept}${left}`, `Start the ${reader} soon, or raise max_slot_wal_keep_size.`);
  else findings.ok(subject, `${kept}${left}`);
}
