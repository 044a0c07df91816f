import type pg from 'pg';
import { quoteIdent } from '../sources/wal/connect.ts';
import type { ComparedTable } from './compared-table.ts';
import { postgresDigest, postgresValue } from './table-sql.ts';
import type { LetterRow } from './verify-tables.ts';

/**
 * IDs of letters by the JSON of their keys' texts, as a comparison has them: PostgreSQL makes those of what the letters say.
 * `client` is in a transaction, which goes on.
 */
export async function letterKeys(
  client: pg.Client,
  table: ComparedTable,
  letters: readonly LetterRow[],
): Promise<Map<string, string[]>> {
  const keys = new Map<string, string[]>();
  const wanted = [...new Set(table.key.map(i => valueName(table, i)))];
  // A letter may be of a time when rows were told apart otherwise.
  const fitting = letters.filter(({ values }) => wanted.every(name => Object.hasOwn(values, name)));
  if (fitting.length === 0) return keys;
  await client.query('SAVEPOINT letters');
  try {
    const { rows } = await client.query<(string | null)[]>({
      text: buildLetterKeysSql(table, wanted),
      values: [
        fitting.map(({ id }) => id),
        ...wanted.map(name => fitting.map(({ values }) => values[name] ?? null)),
      ],
      rowMode: 'array',
    });
    await client.query('RELEASE SAVEPOINT letters');
    for (const [id, ...texts] of rows) {
      const key = JSON.stringify(texts);
      const ids = keys.get(key);
      if (ids) ids.push(id!);
      else keys.set(key, [id!]);
    }
  } catch (error) {
    // Texts that PostgreSQL does not read, as envelopes may have them: the rows are told as different all the same.
    if (!/^(22|42)/.test((error as { code?: string }).code ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT letters');
  }
  return keys;
}

/** Parameters: IDs, then the values of each column, as arrays of text. */
function buildLetterKeysSql(table: ComparedTable, names: readonly string[]): string {
  const { source, columns, key, keyless } = table;
  const id = quoteIdent(`letter ${names.join(' ')}`.slice(0, 40));
  const typed = names.map((name, n) => {
    const { type } = source.columns.find(column => column.name === name)!;
    return `u.v${n}::${quoteIdent(type.schema)}.${quoteIdent(type.name)} AS ${quoteIdent(name)}`;
  });
  const texts = key.map(i => {
    const column = columns[i]!;
    const text = column.form.postgres(postgresValue(column));
    return column.form.unbounded && keyless ? postgresDigest(text) : text;
  });
  const parameters = ['$1::text[]', ...names.map((_, n) => `$${n + 2}::text[]`)];
  return (
    `SELECT t.${id}, ${texts.join(', ')} FROM (SELECT u.id AS ${id}, ${typed.join(', ')} ` +
    `FROM unnest(${parameters.join(', ')}) AS u(id, ${names.map((_, n) => `v${n}`).join(', ')})) AS t`
  );
}

/** The source column of a compared one. */
function valueName({ columns }: ComparedTable, i: number): string {
  const { name, isNullFlag } = columns[i]!;
  return isNullFlag ? name.slice(0, -'__null'.length) : name;
}
