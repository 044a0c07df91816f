import type pg from 'pg';
import { matchesPattern, unmatchedPatterns } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { describeTables, listTables, publishedTables, type SourceTable } from '../sources/wal/catalog.ts';
import {
  connect,
  describeAddress,
  type PostgresAddress,
  queryError,
  quoteIdent,
} from '../sources/wal/connect.ts';
import {
  addToPublication,
  createPublication,
  inspectPublication,
  type Publication,
} from '../sources/wal/publication.ts';
import { TypeCatalog } from '../sources/wal/types.ts';

export interface SourceInfo {
  /** As in `server_version_num`: 180000. */
  serverVersion: number;
  database: string;
  systemId: string;
  timeline: number;
}

/** An open session with what the server says of itself. */
export interface SourceSession {
  address: PostgresAddress;
  client: pg.Client;
  info: SourceInfo;
  types: TypeCatalog;
}

/** Connects and checks what no pipeline can do without: version, wal_level, the right to stream. */
export async function openSource(address: PostgresAddress): Promise<SourceSession> {
  const client = await connect(address);
  try {
    const { rows } = await client.query<{
      version: number;
      level: string;
      database: string;
      standby: boolean;
    }>(
      `SELECT current_setting('server_version_num')::int AS version, current_setting('wal_level') AS level,
              current_database() AS database, pg_is_in_recovery() AS standby`,
    );
    const { version, level, database, standby } = rows[0]!;
    const where = `PostgreSQL at ${describeAddress(address.url)}`;
    if (version < 140000)
      throw new CdcError(
        'SOURCE_VERSION',
        `${where} is version ${Math.floor(version / 10000)}, 14 or newer is needed`,
      );
    if (level !== 'logical')
      throw new CdcError('WAL_LEVEL', `${where} has wal_level = ${level}, logical is needed`);
    if (standby) throw new CdcError('SOURCE_STANDBY', `${where} is a standby`);
    const { systemId, timeline } = await identifySystem(address);
    return {
      address,
      client,
      info: { serverVersion: version, database, systemId, timeline },
      types: new TypeCatalog(),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw queryError(error, 'looking at the source');
  }
}

function grantReplicationHint(address: PostgresAddress): string {
  const role = decodeURIComponent(new URL(address.url).username) || 'the role';
  return `As a superuser: ALTER ROLE ${quoteIdent(role)} REPLICATION; (managed services have a role to grant instead, such as rds_replication).`;
}

/** Opens a replication connection, which takes the right to stream and a free walsender. */
export async function identifySystem(
  address: PostgresAddress,
): Promise<{ systemId: string; timeline: number }> {
  const client = await connect(address, { replication: true }).catch(error => {
    if (error instanceof CdcError && error.code === 'SOURCE_PRIVILEGE')
      throw new CdcError('SOURCE_PRIVILEGE', error.message, {
        cause: error,
        hint: grantReplicationHint(address),
      });
    throw error;
  });
  try {
    const { rows } = await client.query<{ systemid: string; timeline: number }>('IDENTIFY_SYSTEM');
    return { systemId: rows[0]!.systemid, timeline: Number(rows[0]!.timeline) };
  } finally {
    await client.end();
  }
}

/** The publication and tables of a pipeline, as they are and as they will be. */
export interface PublishedScope {
  publication: Publication | undefined;
  tables: SourceTable[];
  /** Not in the publication yet; `ensurePublication` puts them there. */
  missing: { schema: string; name: string }[];
  /** Match `tables`, but are not in the publication, which the user named: it is used as it is. */
  unpublished: { schema: string; name: string }[];
  /** Patterns of `exclude` that match no table. */
  unmatchedExclude: string[];
  /** Left out, with the reason. */
  skipped: { name: string; reason: string }[];
}

/** Which tables the pipeline replicates. Changes nothing. Throws NO_TABLES, PUBLICATION_MISSING. */
export async function resolveScope(source: SourceSession, config: Config): Promise<PublishedScope> {
  const { client, info, types } = source;
  const { publication: name, publicationGiven } = config.postgres;
  try {
    const publication = await inspectPublication(client, name, info.serverVersion);
    const published = publication ? await publishedTables(client, name, info.serverVersion) : [];
    const wanted = (table: { schema: string; name: string }) =>
      matchesPattern(config.tables, config.exclude, table.schema, table.name);
    const isPublished = (table: { schema: string; name: string }) =>
      published.some(other => other.schema === table.schema && other.name === table.name);
    const all = await listTables(client);
    const absent = all.filter(table => wanted(table) && !isPublished(table) && table.hasColumns);
    // A publication that the user names is used as it is.
    const missing = publication && (publicationGiven || publication.allTables) ? [] : absent;
    const candidates = [...published, ...missing];
    const unmatched = unmatchedPatterns(
      config.tables,
      publication && publicationGiven ? published : [...all, ...published],
    );
    if (unmatched.length > 0)
      throw new CdcError(
        'NO_TABLES',
        `no table matches ${unmatched.map(text => `"${text}"`).join(', ')}` +
          (publication && publicationGiven ? ` in publication "${name}"` : ` in database ${info.database}`),
      );
    const described = await describeTables(
      client,
      types,
      candidates.filter(wanted).map(table => ({ columns: undefined, rowFilter: undefined, ...table })),
      publication?.generatedStored ?? false,
    );
    if (described.length === 0)
      throw new CdcError('NO_TABLES', `no table in database ${info.database} is left to replicate`);
    return {
      publication,
      tables: described,
      missing,
      unpublished: publication && publicationGiven ? absent : [],
      unmatchedExclude: unmatchedPatterns(config.exclude, [...all, ...published]),
      skipped: all
        .filter(table => wanted(table) && !table.hasColumns)
        .map(table => ({ name: `${table.schema}.${table.name}`, reason: 'it has no columns' })),
    };
  } catch (error) {
    throw queryError(error, 'reading the catalog of the source');
  }
}

/** Creates the publication or adds tables to it; returns it as it is then. */
export async function ensurePublication(
  source: SourceSession,
  config: Config,
  scope: PublishedScope,
): Promise<Publication> {
  const { publication: name } = config.postgres;
  if (!scope.publication) await createPublication(source.client, name, scope.missing);
  else if (scope.missing.length > 0) await addToPublication(source.client, name, scope.missing);
  else return scope.publication;
  return (await inspectPublication(source.client, name, source.info.serverVersion))!;
}
