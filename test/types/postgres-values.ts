import type pg from 'pg';
import type { Column, PgType } from '../../src/core/relation.ts';
import { TypeCatalog } from '../../src/sources/wal/types.ts';

/** One value as PostgreSQL itself writes it. */
export interface PostgresValue {
  text: Buffer;
  binary: Buffer;
  /** Of an array of one dimension: its elements as text. */
  elements?: readonly (string | null)[];
}

/** The settings that every session of the source pins. */
export const pinnedSettings = `
  SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
  SET extra_float_digits = 1; SET lc_monetary = 'C'; SET client_encoding = 'UTF8'; SET xmloption = 'content'`;

/**
 * Makes a column of type `type` with one row per input. `convert` is the SQL of a value with `$` for the input text;
 * by default a cast.
 */
export async function storeValues(
  client: pg.Client,
  table: string,
  type: string,
  inputs: readonly string[],
  convert = `$::${type}`,
): Promise<{ column: Column; values: PostgresValue[] }> {
  await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, v ${type})`);
  await client.query(
    `INSERT INTO ${table} SELECT i, ${convert.replaceAll('$', '(x)')} FROM unnest($1::text[]) WITH ORDINALITY u(x, i)`,
    [inputs],
  );
  const column = await describeColumn(client, table);
  const send = await sendFunction(client, table);
  // The text that the output function gives, as a tuple has it: a cast to text would trim char(n).
  const elements =
    isArray(column.type) && column.type.name !== 'oidvector' && column.type.name !== 'int2vector'
      ? 'to_json(v::text[])'
      : 'NULL';
  const { rows } = await client.query<[string, string, string | null]>({
    text: `SELECT v, ${send}, ${elements} FROM ${table} ORDER BY id`,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => value },
  });
  return {
    column,
    values: rows.map(([text, binary, json]) => ({
      text: Buffer.from(text),
      binary: Buffer.from(binary.slice('\\x'.length), 'hex'),
      ...(json === null ? {} : { elements: JSON.parse(json) }),
    })),
  };
}

/** The call that gives the binary form of `v` as bytea. */
async function sendFunction(client: pg.Client, table: string): Promise<string> {
  const { rows } = await client.query<{ send: string }>(
    `SELECT typsend::regproc::text AS send FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
     WHERE attrelid = $1::regclass AND attname = 'v'`,
    [table],
  );
  const send = rows[0]!.send;
  return send === '-' ? "''::bytea" : `${send}(v)`;
}

async function describeColumn(client: pg.Client, table: string): Promise<Column> {
  const { rows } = await client.query<{ oid: number; typmod: number }>(
    `SELECT atttypid::int8::int AS oid, atttypmod AS typmod FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'v'`,
    [table],
  );
  const { oid, typmod } = rows[0]!;
  const catalog = new TypeCatalog();
  await catalog.load(client, [oid]);
  return { name: 'v', type: catalog.known(oid)!, typmod, notNull: true };
}

function isArray(type: PgType): boolean {
  return type.kind === 'array' || (type.kind === 'domain' && isArray(type.inner!));
}
