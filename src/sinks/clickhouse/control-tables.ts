import type { Checkpoint, TableState } from '../../core/checkpoint.ts';
import { parseLsn } from '../../core/lsn.ts';
import type { ClickHouse } from './client.ts';
import { lettersTable } from './letter-format.ts';
import { quoteString, type TableName } from './names.ts';
import { buildCreateDatabaseSql, onCluster } from './target.ts';

/** Database of the service's own tables. */
export const controlDatabase = 'wal_cdc';

const tables: Record<string, { columns: string[]; engine: string; orderBy: string }> = {
  checkpoints: {
    columns: [
      'pipeline String',
      'seq UInt64',
      'mode LowCardinality(String)',
      'epoch UInt16',
      'position String',
      'system_id String',
      'timeline UInt32',
      'slot String',
      'publication String',
      'publication_oid UInt32',
      "saved_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')",
    ],
    engine: 'ReplacingMergeTree(seq)',
    orderBy: 'pipeline',
  },
  offsets: {
    columns: [
      'pipeline String',
      'topic String',
      'partition UInt32',
      'seq UInt64',
      'generation UInt16',
      'offset UInt64',
      'state String',
      "saved_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')",
    ],
    engine: 'ReplacingMergeTree(seq)',
    orderBy: '(pipeline, topic, partition)',
  },
  tables: {
    columns: [
      'pipeline String',
      'schema String',
      'name String',
      'seq UInt64',
      'phase LowCardinality(String)',
      'reason String',
      'state String',
      "saved_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')",
    ],
    engine: 'ReplacingMergeTree(seq)',
    orderBy: '(pipeline, schema, name)',
  },
  requests: {
    columns: [
      'pipeline String',
      'id String',
      'command LowCardinality(String)',
      'arguments String',
      "requested_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')",
    ],
    engine: 'MergeTree',
    orderBy: '(pipeline, requested_at)',
  },
  dead_letters: lettersTable,
};
/** Those that say what the pipeline has done and where it is. */
const ownTables = ['checkpoints', 'offsets', 'tables', 'requests'];
/** Phase of a row in `tables` that only notes which ClickHouse table was written before the pipeline was forgotten. */
const leftPhase = 'left';

/** The checkpoint of a topic-partition. */
export interface SavedOffset {
  topic: string;
  partition: number;
  /** Rises when the topic was made anew, or is read again from an earlier place: then a lower offset counts. */
  generation: number;
  /** Of the message to read next; everything before is durable. */
  offset: number;
  /** What else the source needs to go on there. */
  state: string;
}

/** The service's own tables in ClickHouse, for one pipeline: checkpoint, table states, requests of other commands. */
export class ControlTables {
  readonly #clickhouse: ClickHouse;
  readonly #pipeline: string;
  readonly #cluster: string | undefined;
  #seq = 0n;

  constructor(clickhouse: ClickHouse, pipeline: string, cluster?: string) {
    this.#clickhouse = clickhouse;
    this.#pipeline = pipeline;
    this.#cluster = cluster;
  }

  static createSql(cluster?: string): string[] {
    const replicated = cluster ? 'Replicated' : '';
    return [
      buildCreateDatabaseSql(controlDatabase, { cluster }),
      ...Object.entries(tables).map(
        ([name, table]) =>
          `CREATE TABLE IF NOT EXISTS ${controlDatabase}.${name}${onCluster({ cluster })}\n` +
          `(\n  ${table.columns.join(',\n  ')}\n)\n` +
          `ENGINE = ${replicated}${table.engine}\nORDER BY ${table.orderBy}\n` +
          'SETTINGS fsync_after_insert = 1, fsync_part_directory = 1',
      ),
    ];
  }

  async create(): Promise<void> {
    for (const sql of ControlTables.createSql(this.#cluster)) await this.#clickhouse.command(sql);
  }

  /** Whether `create` has been done, by any pipeline, to the end. */
  async exists(): Promise<boolean> {
    const rows = await this.#clickhouse.query(
      `SELECT name FROM system.tables
        WHERE database = '${controlDatabase}' AND name IN (${ownTables.map(quoteString).join(', ')})`,
    );
    return rows.length === ownTables.length;
  }

  get #own(): string {
    return `pipeline = ${quoteString(this.#pipeline)}`;
  }

  async loadCheckpoint(): Promise<Checkpoint | undefined> {
    const [row] = await this.#clickhouse.query<Record<string, string | number>>(
      `SELECT mode, epoch, position, system_id, timeline, slot, publication, publication_oid, seq
         FROM ${controlDatabase}.checkpoints FINAL WHERE ${this.#own}`,
    );
    if (!row) return undefined;
    this.#sawSeq(row.seq!);
    return {
      mode: row.mode as Checkpoint['mode'],
      epoch: Number(row.epoch),
      position: String(row.position),
      systemId: String(row.system_id),
      timeline: Number(row.timeline),
      slot: String(row.slot),
      publication: String(row.publication),
      publicationOid: Number(row.publication_oid),
    };
  }

  async saveCheckpoint(checkpoint: Checkpoint): Promise<void> {
    // The later position wins, also over a process that was cut off from the source and does not know it yet.
    const { mode, position } = checkpoint;
    // In `cdc` the offsets say how far it is.
    if (mode !== 'cdc') this.#sawSeq(String(mode === 'synthetic' ? position : parseLsn(position)));
    await this.#insert('checkpoints', {
      mode: checkpoint.mode,
      epoch: checkpoint.epoch,
      position: checkpoint.position,
      system_id: checkpoint.systemId,
      timeline: checkpoint.timeline,
      slot: checkpoint.slot,
      publication: checkpoint.publication,
      publication_oid: checkpoint.publicationOid,
    });
  }

  async loadOffsets(): Promise<SavedOffset[]> {
    const rows = await this.#clickhouse.query<Record<string, string | number>>(
      `SELECT topic, partition, generation, offset, state
         FROM ${controlDatabase}.offsets FINAL WHERE ${this.#own} ORDER BY topic, partition`,
    );
    return rows.map(row => ({
      topic: String(row.topic),
      partition: Number(row.partition),
      generation: Number(row.generation),
      offset: Number(row.offset),
      state: String(row.state),
    }));
  }

  /** The further one of a partition wins, also over an instance that lost it and does not know yet. */
  async saveOffsets(offsets: readonly SavedOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    const lines = offsets.map(offset => {
      const seq = String((BigInt(offset.generation) << 48n) | BigInt(offset.offset));
      return JSON.stringify({ pipeline: this.#pipeline, seq, ...offset });
    });
    await this.#clickhouse.insert(
      `INSERT INTO ${controlDatabase}.offsets
         (pipeline, topic, partition, seq, generation, offset, state) FORMAT JSONEachRow`,
      Buffer.from(lines.join('\n')),
    );
  }

  /** States by `schema`, `name`. */
  async loadTables(): Promise<{ schema: string; name: string; state: TableState }[]> {
    const rows = await this.#clickhouse.query<{ schema: string; name: string; state: string; seq: string }>(
      `SELECT schema, name, state, seq FROM ${controlDatabase}.tables FINAL
        WHERE ${this.#own} AND phase != '${leftPhase}' ORDER BY schema, name`,
    );
    for (const row of rows) this.#sawSeq(row.seq);
    return rows.map(row => ({
      schema: row.schema,
      name: row.name,
      state: JSON.parse(row.state) as TableState,
    }));
  }

  /** Other pipelines that have saved that they write `target`; `mode` is empty when they have no checkpoint yet. */
  async otherWriters(target: TableName): Promise<{ pipeline: string; mode: string }[]> {
    const isTarget = (part: keyof TableName) =>
      `JSONExtractString(state, 'target', '${part}') = ${quoteString(target[part])}`;
    return this.#clickhouse.query(
      `SELECT pipeline, mode
         FROM (SELECT DISTINCT pipeline FROM ${controlDatabase}.tables FINAL
                WHERE NOT ${this.#own} AND phase != '${leftPhase}' AND ${isTarget('database')} AND ${isTarget('table')}) AS writers
         LEFT JOIN (SELECT pipeline, mode FROM ${controlDatabase}.checkpoints FINAL) AS saved USING (pipeline)
        ORDER BY pipeline`,
    );
  }

  async saveTable(table: { schema: string; name: string }, state: TableState): Promise<void> {
    await this.#insert('tables', {
      schema: table.schema,
      name: table.name,
      phase: state.phase,
      reason: state.stopped?.message ?? '',
      state: JSON.stringify(state),
    });
  }

  /** What is known of a table that the pipeline does not have any more. */
  async forgetTable({ schema, name }: { schema: string; name: string }): Promise<void> {
    await this.#clickhouse.command(
      `DELETE FROM ${controlDatabase}.tables
        WHERE ${this.#own} AND schema = ${quoteString(schema)} AND name = ${quoteString(name)}`,
    );
  }

  /** Takes the requests that other commands left for the running service. */
  async takeRequests(): Promise<{ command: string; arguments: string }[]> {
    const rows = await this.#clickhouse.query<{ id: string; command: string; arguments: string }>(
      `SELECT id, command, arguments FROM ${controlDatabase}.requests WHERE ${this.#own} ORDER BY requested_at`,
    );
    if (rows.length > 0) {
      const ids = rows.map(row => quoteString(row.id)).join(', ');
      await this.#clickhouse.command(
        `DELETE FROM ${controlDatabase}.requests WHERE ${this.#own} AND id IN (${ids})`,
      );
    }
    return rows;
  }

  async request(command: string, args: string): Promise<void> {
    const row = { pipeline: this.#pipeline, id: crypto.randomUUID(), command, arguments: args };
    await this.#clickhouse.insert(
      `INSERT INTO ${controlDatabase}.requests (pipeline, id, command, arguments) FORMAT JSONEachRow`,
      Buffer.from(JSON.stringify(row)),
    );
  }

  /** ClickHouse tables that the pipeline wrote before it was forgotten. */
  async loadLeft(): Promise<TableName[]> {
    const rows = await this.#clickhouse.query<{ state: string }>(
      `SELECT state FROM ${controlDatabase}.tables FINAL
        WHERE ${this.#own} AND phase = '${leftPhase}' ORDER BY schema, name`,
    );
    return rows.map(row => (JSON.parse(row.state) as Pick<TableState, 'target'>).target);
  }

  /** Removes everything that is known about the pipeline, but for its dead letters; which tables are left stays noted. */
  async forget(left: readonly TableName[]): Promise<void> {
    if (left.length > 0) {
      // No table of a source has an empty schema. Before the others go: a crash in between loses nothing.
      const lines = left.map(target =>
        JSON.stringify({
          pipeline: this.#pipeline,
          schema: '',
          name: `${target.database}.${target.table}`,
          seq: '0',
          phase: leftPhase,
          state: JSON.stringify({ target }),
        }),
      );
      await this.#clickhouse.insert(
        `INSERT INTO ${controlDatabase}.tables (pipeline, schema, name, seq, phase, state) FORMAT JSONEachRow`,
        Buffer.from(lines.join('\n')),
      );
    }
    for (const name of ownTables) {
      const stays = name === 'tables' && left.length > 0 ? ` AND phase != '${leftPhase}'` : '';
      await this.#clickhouse.command(`DELETE FROM ${controlDatabase}.${name} WHERE ${this.#own}${stays}`);
    }
  }

  #sawSeq(seq: string | number): void {
    if (BigInt(seq) > this.#seq) this.#seq = BigInt(seq);
  }

  async #insert(table: string, row: Record<string, string | number>): Promise<void> {
    const complete = { pipeline: this.#pipeline, seq: String(++this.#seq), ...row };
    await this.#clickhouse.insert(
      `INSERT INTO ${controlDatabase}.${table} (${Object.keys(complete).join(', ')}) FORMAT JSONEachRow`,
      Buffer.from(JSON.stringify(complete)),
    );
  }
}
