import { CdcError } from '../../core/errors.ts';
import { readVersion } from '../../core/version.ts';
import type { ClickHouse } from './client.ts';
import { quoteIdentifier, quoteString, quoteTableName, type TableName } from './names.ts';
import type { EncoderColumn, RowEncoder } from './row-encoder.ts';
import { fullType } from './types/registry.ts';

/** Encoded values of a row of ClickHouse. */
export interface FoundRow {
  values: Buffer[];
  version: bigint;
}

const maxResultBytes = 64 << 20;
const resultTooLarge = '396';

/** Looks rows up by their keys: as RowBinary in ORDER BY order, one character per byte. */
export class KeyLookup {
  readonly #encoder: RowEncoder;
  readonly #clickhouse: ClickHouse;
  readonly #versionColumn: string;

  constructor(encoder: RowEncoder, clickhouse: ClickHouse, versionColumn: string) {
    this.#encoder = encoder;
    this.#clickhouse = clickhouse;
    this.#versionColumn = versionColumn;
  }

  /** Current rows, by key: the columns at places `wanted`. Throws for more than 64 MiB: see `isTooLarge`. */
  async rows(keys: string[], wanted: readonly number[], table: TableName): Promise<Map<string, FoundRow>> {
    if (keys.length === 0) return new Map();
    const { columns } = this.#encoder;
    const names = wanted.map(c => quoteIdentifier(columns[c]!.name));
    const bytes = await this.#query(
      keys,
      table,
      'FINAL',
      [...names, quoteIdentifier(this.#versionColumn)],
      '',
    );
    const found = new Map<string, FoundRow>();
    let pos = 0;
    while (pos < bytes.length) {
      const start = pos;
      pos = this.#skipKey(bytes, pos);
      const key = bytes.toString('latin1', start, pos);
      const values = wanted.map(c => {
        const valueStart = pos;
        pos = skipValue(columns[c]!, bytes, pos);
        return bytes.subarray(valueStart, pos);
      });
      found.set(key, { values, version: readVersion(bytes, pos) });
      pos += 16;
    }
    return found;
  }

  /** The highest version under each key, of rows and tombstones. */
  async newestVersions(keys: string[], table: TableName): Promise<Map<string, bigint>> {
    if (keys.length === 0) return new Map();
    const newest = `max(${quoteIdentifier(this.#versionColumn)})`;
    const bytes = await this.#query(keys, table, '', [newest], `GROUP BY ${this.#keyNames}`);
    const found = new Map<string, bigint>();
    let pos = 0;
    while (pos < bytes.length) {
      const start = pos;
      pos = this.#skipKey(bytes, pos);
      found.set(bytes.toString('latin1', start, pos), readVersion(bytes, pos));
      pos += 16;
    }
    return found;
  }

  get #keyNames(): string {
    const { columns, keyColumns } = this.#encoder;
    return keyColumns.map(c => quoteIdentifier(columns[c]!.name)).join(', ');
  }

  #skipKey(buf: Buffer, pos: number): number {
    for (const c of this.#encoder.keyColumns) pos = skipValue(this.#encoder.columns[c]!, buf, pos);
    return pos;
  }

  #query(
    keys: string[],
    table: TableName,
    final: string,
    selected: string[],
    grouped: string,
  ): Promise<Buffer> {
    const { columns, keyColumns } = this.#encoder;
    const structure = keyColumns
      .map(c => `${quoteIdentifier(columns[c]!.name)} ${columnType(columns[c]!)}`)
      .join(', ');
    const hex = keys.map(key => Buffer.from(key, 'latin1').toString('hex')).join('');
    const names = this.#keyNames;
    const sql =
      `SELECT ${names}, ${selected.join(', ')} FROM ${quoteTableName(table)} ${final} ` +
      `WHERE (${names}) IN (SELECT ${names} FROM format('RowBinary', ${quoteString(structure)}, unhex('${hex}'))) ` +
      `${grouped} FORMAT RowBinary`;
    return this.#clickhouse.bytes(sql, {
      max_query_size: sql.length + 1024,
      // One key cannot be asked for in parts.
      max_result_bytes: String(keys.length > 1 ? maxResultBytes : 0),
    });
  }
}

/** As ClickHouse names the type of the column. */
export function columnType({ codec, nullable }: EncoderColumn): string {
  return fullType(codec.type, codec.canBeNullable, nullable);
}

export function isTooLarge(error: unknown): boolean {
  return error instanceof CdcError && (error.cause as { code?: string } | undefined)?.code === resultTooLarge;
}

function skipValue(column: EncoderColumn, buf: Buffer, pos: number): number {
  if (column.nullable && buf[pos++] === 1) return pos;
  return column.codec.skip(buf, pos);
}
