import { Op } from '../../src/core/batch.ts';
import type { ByteWriter } from '../../src/core/byte-writer.ts';
import { postgresEpochUs } from '../../src/core/postgres-epoch.ts';
import type { Relation } from '../../src/core/relation.ts';
import {
  EnvelopeFields,
  EnvelopeKind,
  type EnvelopeReader,
  type KafkaMessage,
} from '../../src/sources/kafka/envelope.ts';
import { table } from '../workload.ts';

/**
 * What a straightforward service does: parses a message, adds to its row what orders it, and writes the row as a line of
 * JSONEachRow. So that it reads, fetches and inserts as ours does, it is a reader whose changes are these lines.
 */
export class JsonRows extends EnvelopeFields implements EnvelopeReader {
  override op: number = Op.insert;
  override schema = 'public';
  override table = table;

  prepare(): undefined {}

  read({ value }: KafkaMessage, out: ByteWriter): number {
    if (value === null) return EnvelopeKind.ignored;
    const message = JSON.parse(value.toString());
    const { before, after, source } = message.payload ?? message;
    const row = after ?? before;
    row._lsn = source.lsn;
    row._is_deleted = after ? 0 : 1;
    row._committed_us = source.ts_us;
    const line = `${JSON.stringify(row)}\n`;
    out.reserve(line.length * 3);
    out.pos += out.buf.write(line, out.pos);
    this.committedAtUs = source.ts_us - postgresEpochUs;
    return EnvelopeKind.change;
  }
}

export const jsonRelation: Relation = {
  id: 1,
  schema: 'public',
  name: table,
  replicaIdentity: 'd',
  columns: [],
};

/** Where these rows go. */
export const buildJsonTableSql = (database: string) => `
  CREATE TABLE ${database}.${table} (
    id Int64, user_id UUID, event_type String, payload String, amount Nullable(Decimal(12, 2)),
    occurred_at DateTime64(6, 'UTC'), _lsn UInt64, _is_deleted UInt8, _committed_us Int64
  ) ENGINE = ReplacingMergeTree(_lsn, _is_deleted) ORDER BY id`;

/** Inserts are of rows with different keys: as for ours, ClickHouse need not look for rows that replace others. */
export const buildJsonInsertSql = (database: string) =>
  `INSERT INTO ${database}.${table} SETTINGS optimize_on_insert = 0, date_time_input_format = 'best_effort' FORMAT JSONEachRow`;
