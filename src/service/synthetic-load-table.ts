import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Config } from '../config.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Log } from '../observe/log.ts';
import { RowParameters } from '../sources/synthetic/array-parameters.ts';
import { createUserEventsSql, userEventsColumns, userEventsTable } from '../sources/synthetic/table.ts';
import type { UserEvents } from '../sources/synthetic/user-events.ts';
import { publishedTables } from '../sources/wal/catalog.ts';
import { addToPublication, createPublication, inspectPublication } from '../sources/wal/publication.ts';

const table = qualifiedName(userEventsTable);
/** PostgreSQL notices within moments that a process is gone. */
const lockPatienceMs = 5000;

/** Makes or checks table and publication. Returns the last sequence number whose rows are in the table. */
export async function prepareLoad(
  client: pg.Client,
  config: Config,
  events: UserEvents,
  log: Log,
): Promise<number> {
  await requireOnlyWriter(client);
  const misfit = await userEventsMisfit(client);
  if (misfit === 'missing') {
    await client.query(createUserEventsSql);
    log.info({ table }, 'created in PostgreSQL');
  } else if (misfit) throw misfit;
  if (config.postgres.publicationGiven) await publish(client, config.postgres.publication, log);
  return lastWritten(client, events);
}

/** One session at a time: the others would insert the same ids. */
async function requireOnlyWriter(client: pg.Client): Promise<void> {
  const startedAtMs = performance.now();
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>(
      `SELECT pg_try_advisory_lock(hashtextextended('wal-cdc ${table}', 0)) AS locked`,
    );
    if (rows[0]!.locked) return;
    if (performance.now() - startedAtMs > lockPatienceMs)
      throw new CdcError('TABLE_TAKEN', `another process generates rows into ${table} of this database`, {
        table,
        hint: 'Stop it, or give this one another database.',
      });
    await sleep(100);
  }
}

/** What keeps generated rows out of the table of that name; `missing` when there is none. */
export async function userEventsMisfit(client: pg.Client): Promise<CdcError | 'missing' | undefined> {
  const { rows } = await client.query<{ name: string; type: string; required: boolean; key: boolean }>(`
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indkey::text = a.attnum::text) AS key
      FROM pg_attribute a
     WHERE a.attrelid = to_regclass('${table}') AND a.attnum > 0 AND NOT a.attisdropped`);
  if (rows.length === 0) return 'missing';
  const fail = (what: string) =>
    new CdcError('TABLE_UNSUPPORTED', `table ${table} exists, but ${what}`, {
      table,
      hint: 'Rename or drop the table, or name another database; without the table it is created.',
    });
  for (const { name, sqlType } of userEventsColumns) {
    const type = rows.find(row => row.name === name)?.type;
    const expected = sqlType === 'timestamptz' ? 'timestamp with time zone' : sqlType;
    if (type !== expected) return fail(`its column "${name}" is ${type ?? 'missing'}, ${expected} is needed`);
  }
  const more = rows.find(row => row.required && !userEventsColumns.some(({ name }) => name === row.name));
  if (more) return fail(`its column "${more.name}" would need a value`);
  if (!rows.some(row => row.key && row.name === 'id')) return fail('its primary key is not (id)');
  return undefined;
}

async function publish(client: pg.Client, name: string, log: Log): Promise<void> {
  const { rows } = await client.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  const { version } = rows[0]!;
  const publication = await inspectPublication(client, name, version);
  if (!publication) await createPublication(client, name, [userEventsTable]);
  else {
    const published = await publishedTables(client, name, version);
    if (published.some(other => qualifiedName(other) === table)) return;
    await addToPublication(client, name, [userEventsTable]);
  }
  log.info({ publication: name, table }, 'published');
}

/**
 * Goes by the highest id, which no delete takes before others follow. Updates and deletes behind its insert may be written
 * again, which changes nothing. Throws TABLE_NOT_EMPTY when that row was not generated with these settings.
 */
async function lastWritten(client: pg.Client, events: UserEvents): Promise<number> {
  const { rows } = await client.query<{ id: string | null }>(`SELECT max(id)::text AS id FROM ${table}`);
  const { id } = rows[0]!;
  if (id === null) return 0;
  const n = BigInt(id) > 0n && BigInt(id) < 2n ** 53n ? events.insertOf(Number(id)) : 0;
  if (n > 0 && (await isGenerated(client, events, n))) return n;
  throw new CdcError(
    'TABLE_NOT_EMPTY',
    `table ${table} has rows that these settings did not generate (id ${id})`,
    {
      table,
      hint: 'Set synthetic.seed and the others under synthetic to what they were, or empty the table.',
    },
  );
}

async function isGenerated(client: pg.Client, events: UserEvents, n: number): Promise<boolean> {
  const bytes = new ByteWriter();
  events.write(n, bytes);
  const row = new RowParameters();
  row.add(bytes.buf, 0);
  const [id, userId, type, , , occurredAt] = row.values();
  const { rowCount } = await client.query({
    text: `SELECT FROM ${table} WHERE id = ANY ($1::bigint[]) AND user_id = ANY ($2::uuid[])
              AND event_type = ANY ($3::text[]) AND occurred_at = ANY ($4::timestamptz[])`,
    values: [id, userId, type, occurredAt],
  });
  return rowCount === 1;
}
