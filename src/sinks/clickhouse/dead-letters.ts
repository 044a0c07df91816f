import { createHash } from 'node:crypto';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { ClickHouse } from './client.ts';
import { type DeadLetter, type LetterState, letterOwner } from './dead-letter.ts';
import { decodeLetters, encodeLetter, letterColumns } from './letter-format.ts';
import { quoteIdentifier, quoteString } from './names.ts';

/** What a list shows of a letter; `bytes` is what its raw parts take. */
export type LetterSummary = Pick<
  DeadLetter,
  'id' | 'state' | 'code' | 'reason' | 'schema' | 'table' | 'key' | 'op' | 'position' | 'topic'
> & { at: string; stateAt: string; version: string; bytes: number };

/** Which letters are meant; all conditions count. */
export interface LetterFilter {
  states?: readonly LetterState[];
  /** Whole IDs. */
  ids?: readonly string[];
  tables?: readonly { schema: string; table: string }[];
  /** JSON, as in `DeadLetter.key`. */
  keys?: readonly string[];
  /** Versions from here on. */
  from?: bigint | undefined;
  /** Versions below the first one, or from the second one on. */
  outside?: readonly [from: bigint, until: bigint] | undefined;
}

/** States in which a letter may be the only one to know what an update leaves out. */
export const unsettled: readonly LetterState[] = ['open', 'discarded'];

const columns = letterColumns.map(quoteIdentifier);
/** An insert is not much larger than this. */
const maxBodyBytes = 32 << 20;
/** For many keys. */
const maxQueryBytes = 64 << 20;
/** Letters that are read at once; one that is larger comes alone. */
const pageLetters = 1000;
const pageBytes = 16 << 20;
/** Hashes of keys that are kept in memory, per table. */
const maxKeys = 100_000;

/** `wal_cdc.dead_letters`, for one pipeline. */
export class DeadLetters {
  /** Open ones by table (or topic), as of the last `countOpen`, and those that were added since. */
  readonly open = new Map<string, number>();
  /** Whether letters were written since `countOpen` looked. */
  #hasNew = false;
  readonly #keys = new Map<string, LetterKeys>();
  readonly #clickhouse: ClickHouse;
  readonly #pipeline: string;

  constructor(clickhouse: ClickHouse, pipeline: string) {
    this.#clickhouse = clickhouse;
    this.#pipeline = pipeline;
  }

  /** Whether the table has been made; versions before 0.1 had none. */
  async exists(): Promise<boolean> {
    const rows = await this.#clickhouse.query(
      `SELECT 1 FROM system.tables WHERE database = 'wal_cdc' AND name = 'dead_letters'`,
    );
    return rows.length > 0;
  }

  /** Resolves when all are durable. */
  async write(letters: readonly DeadLetter[]): Promise<void> {
    const out = new ByteWriter(1 << 16);
    for (const [i, letter] of letters.entries()) {
      encodeLetter(this.#pipeline, letter, out);
      if (out.pos < maxBodyBytes && i + 1 < letters.length) continue;
      await this.#clickhouse.insert(
        `INSERT INTO ${table} (pipeline, ${columns.join(', ')}) FORMAT RowBinary`,
        out.written(),
      );
      out.pos = 0;
    }
    this.#hasNew = true;
    for (const letter of letters) {
      if (letter.op !== 'message') this.keysOf(letterOwner(letter)).add(letter.key);
      if (letter.state === 'open')
        this.open.set(letterOwner(letter), (this.open.get(letterOwner(letter)) ?? 0) + 1);
    }
  }

  /** Newest first. */
  async list(filter: LetterFilter, limit: number): Promise<LetterSummary[]> {
    const rows = await this.#clickhouse.query<LetterSummary>(
      `SELECT id, state, code, reason, schema, \`table\`, key, op, position, topic, toString(version) AS version,
              formatDateTime(at, '%Y-%m-%dT%H:%i:%SZ') AS at, formatDateTime(state_at, '%Y-%m-%dT%H:%i:%SZ') AS stateAt,
              length(change) + length(relation) + length(ifNull(message_key, '')) + length(ifNull(message_value, '')) AS bytes
         FROM ${table} AS l FINAL WHERE ${this.#where(filter)}
        ORDER BY l.at DESC, l.version DESC, id LIMIT ${limit}`,
    );
    return rows.map(row => ({ ...row, bytes: Number(row.bytes) }));
  }

  async count(filter: LetterFilter): Promise<number> {
    const [row] = await this.#clickhouse.query<{ n: string }>(
      `SELECT count() AS n FROM ${table} AS l FINAL WHERE ${this.#where(filter)}`,
    );
    return Number(row!.n);
  }

  /** Whole letters, the lowest version first. Best by table and ID, which the sort key has: `FINAL` reads all that those leave. */
  async read(filter: LetterFilter): Promise<DeadLetter[]> {
    if (filter.ids?.length === 0) return [];
    return decodeLetters(
      await this.#clickhouse.bytes(
        `SELECT ${columns.join(', ')} FROM ${table} AS l FINAL WHERE ${this.#where(filter)}
          ORDER BY l.version, id FORMAT RowBinary`,
        { max_query_size: maxQueryBytes },
      ),
    );
  }

  /**
   * Whole letters, table by table and the lowest version first, some MiB at a time. Letters that are settled meanwhile make no
   * gaps.
   */
  async *pages(filter: LetterFilter): AsyncGenerator<DeadLetter[]> {
    const order = 'l.schema, l.`table`, l.version, l.topic, l.partition, l.offset, l.id';
    let after = 'true';
    for (;;) {
      const rows = await this.#clickhouse.query<Record<string, string>>(
        `SELECT schema, \`table\`, toString(version) AS version, topic, partition, offset, id,
                length(change) + length(ifNull(message_value, '')) AS bytes
           FROM ${table} AS l FINAL WHERE ${this.#where(filter)} AND ${after} ORDER BY ${order} LIMIT ${pageLetters}`,
      );
      if (rows.length === 0) return;
      let bytes = 0;
      const ids: string[] = [];
      const tables: { schema: string; table: string }[] = [];
      for (const { schema, table, version, topic, partition, offset, id, bytes: size } of rows) {
        bytes += Number(size);
        if (ids.length > 0 && bytes > pageBytes) break;
        ids.push(id!);
        if (tables.at(-1)?.schema !== schema || tables.at(-1)?.table !== table)
          tables.push({ schema: schema!, table: table! });
        const [name, of, from] = [schema!, table!, topic!].map(quoteString);
        after = `(${order}) > (${name}, ${of}, toUInt128('${version}'), ${from}, ${partition}, ${offset}, ${quoteString(id!)})`;
      }
      yield await this.read({ tables, ids });
    }
  }

  /** Tables that have letters of any state. */
  async tables(): Promise<{ schema: string; table: string }[]> {
    return this.#clickhouse.query(
      `SELECT DISTINCT schema, \`table\` FROM ${table} AS l WHERE l.${this.#own} AND l.op != 'message' ORDER BY ALL`,
    );
  }

  async ids(filter: LetterFilter): Promise<string[]> {
    const rows = await this.#clickhouse.query<{ id: string }>(
      `SELECT id FROM ${table} AS l FINAL WHERE ${this.#where(filter)} SETTINGS max_query_size = ${maxQueryBytes}`,
    );
    return rows.map(row => row.id);
  }

  /** IDs that begin with `prefix`, two at most. */
  async idsLike(prefix: string): Promise<string[]> {
    const rows = await this.#clickhouse.query<{ id: string }>(
      `SELECT DISTINCT id FROM ${table} WHERE ${this.#own} AND startsWith(id, ${quoteString(prefix)}) LIMIT 2`,
    );
    return rows.map(row => row.id);
  }

  /** Gives letters another state, without moving their bytes. Returns how many there were. */
  async settle(filter: LetterFilter, state: LetterState): Promise<number> {
    const count = await this.count(filter);
    if (count === 0) return 0;
    const values = columns.map(column =>
      column === '`state`'
        ? quoteString(state)
        : column === '`state_at`'
          ? `now64(6, 'UTC')`
          : column === '`revision`'
            ? 'greatest(l.revision + 1, toUInt64(toUnixTimestamp64Micro(now64(6))))'
            : `l.${column}`,
    );
    await this.#clickhouse.command(
      `INSERT INTO ${table} (pipeline, ${columns.join(', ')})
       SELECT l.pipeline, ${values.join(', ')} FROM ${table} AS l FINAL WHERE ${this.#where(filter)}`,
    );
    return count;
  }

  /** Whether counting anew may give something else than `open` has: others settle letters, only this process writes new ones. */
  get mayHaveChanged(): boolean {
    return this.#hasNew || this.open.size > 0;
  }

  /** Counts the open ones by table (or topic). */
  async countOpen(): Promise<ReadonlyMap<string, number>> {
    this.#hasNew = false;
    const rows = await this.#clickhouse.query<{ schema: string; table: string; topic: string; n: string }>(
      `SELECT schema, \`table\`, topic, count() AS n FROM ${table} AS l FINAL
        WHERE ${this.#where({ states: ['open'] })} GROUP BY schema, \`table\`, topic ORDER BY ALL`,
    );
    this.open.clear();
    for (const row of rows) this.open.set(letterOwner(row), Number(row.n));
    return this.open;
  }

  /** Loads what `keysOf` tells. */
  async loadKeys(): Promise<void> {
    const rows = await this.#clickhouse.query<{ schema: string; table: string; hashes: string[] }>(
      `SELECT schema, \`table\`, groupUniqArray(${maxKeys + 1})(lower(hex(substring(SHA256(key), 1, 8)))) AS hashes
         FROM ${table} AS l FINAL WHERE ${this.#where({ states: unsettled })} AND op != 'message'
        GROUP BY schema, \`table\``,
    );
    this.#keys.clear();
    for (const { schema, table, hashes } of rows)
      this.#keys.set(
        `${schema}.${table}`,
        new LetterKeys(hashes.length > maxKeys ? undefined : new Set(hashes)),
      );
  }

  /** Which rows of a table have an unsettled letter, as of `loadKeys` and what was written since. */
  keysOf(table: string): LetterKeys {
    let keys = this.#keys.get(table);
    if (!keys) this.#keys.set(table, (keys = new LetterKeys(new Set())));
    return keys;
  }

  /** Removes every letter of the pipeline. */
  async forget(): Promise<void> {
    await this.#clickhouse.command(`DELETE FROM ${table} WHERE ${this.#own}`);
  }

  get #own(): string {
    return `pipeline = ${quoteString(this.#pipeline)}`;
  }

  #where({ states, ids, tables, keys, from, outside }: LetterFilter): string {
    const among = (expression: string, values: readonly string[]) =>
      values.length > 0 ? `${expression} IN (${values.join(', ')})` : 'false';
    return [
      `l.${this.#own}`,
      ...(states ? [among('l.state', states.map(quoteString))] : []),
      ...(ids ? [among('l.id', ids.map(quoteString))] : []),
      ...(tables
        ? [
            among(
              '(l.schema, l.`table`)',
              tables.map(({ schema, table }) => `(${quoteString(schema)}, ${quoteString(table)})`),
            ),
          ]
        : []),
      ...(keys ? [among('l.key', keys.map(quoteString))] : []),
      ...(from === undefined ? [] : [`l.version >= toUInt128('${from}')`]),
      ...(outside
        ? [`(l.version < toUInt128('${outside[0]}') OR l.version >= toUInt128('${outside[1]}'))`]
        : []),
    ].join(' AND ');
  }
}

const table = 'wal_cdc.dead_letters';

/** As `DeadLetters.keyHashes` has it. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}

/** Tells which rows of a table may have a letter, without asking ClickHouse. Keys that are not there cost a look-up at most. */
export class LetterKeys {
  /** `undefined` when there are too many. */
  #hashes: Set<string> | undefined;

  constructor(hashes: Set<string> | undefined) {
    this.#hashes = hashes;
  }

  get isEmpty(): boolean {
    return this.#hashes?.size === 0;
  }

  mayHave(key: string): boolean {
    return this.#hashes?.has(hashKey(key)) ?? true;
  }

  add(key: string): void {
    this.#hashes?.add(hashKey(key));
    if (this.#hashes && this.#hashes.size > maxKeys) this.#hashes = undefined;
  }
}
