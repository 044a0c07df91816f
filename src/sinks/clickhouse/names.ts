import { createHash } from 'node:crypto';

/** A ClickHouse table. */
export interface TableName {
  database: string;
  table: string;
}

/** ClickHouse reads backslashes in quoted identifiers as escapes. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

export function quoteString(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

export function quoteTableName(name: TableName): string {
  return `${quoteIdentifier(name.database)}.${quoteIdentifier(name.table)}`;
}

/** `public.t` → `<database>.t`, `s.t` → `<database>_s.t`. */
export function targetName(database: string, source: { schema: string; name: string }): TableName {
  return {
    database: shorten(source.schema === 'public' ? database : `${database}_${source.schema}`),
    table: shorten(source.name),
  };
}

/** The table beside `name` that a copy fills before the two are exchanged: no name that a source's table has by accident. */
export function shadowName(name: TableName): TableName {
  return { database: name.database, table: shorten(`${name.table}__wal_cdc_copy`) };
}

// File names hold 255 bytes, ClickHouse escapes other characters than word characters as %XX, and adds suffixes.
const maxEscapedBytes = 200;

function shorten(name: string): string {
  if (escapedBytes(name) <= maxEscapedBytes) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 12);
  let kept = '';
  for (const char of name) {
    if (escapedBytes(kept + char) > maxEscapedBytes - hash.length - 1) break;
    kept += char;
  }
  return `${kept}_${hash}`;
}

function escapedBytes(name: string): number {
  let bytes = 0;
  for (const byte of Buffer.from(name)) bytes += /\w/.test(String.fromCharCode(byte)) && byte < 0x80 ? 1 : 3;
  return bytes;
}
