import type pg from 'pg';
import { ByteWriter } from '../core/byte-writer.ts';
import { crashPoint } from '../core/crash-point.ts';
import { type CdcError, isFaultOfRow } from '../core/errors.ts';
import type { Lsn } from '../core/lsn.ts';
import type { Relation } from '../core/relation.ts';
import { Kind, Marker } from '../core/tuple.ts';
import { readInt32 } from '../core/tuple-fields.ts';
import { composeVersion } from '../core/version.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type DeadLetter, letterOfCopiedRow } from '../sinks/clickhouse/dead-letter.ts';
import type { ClickHouseSink } from '../sinks/clickhouse/sink.ts';
import { queryError } from '../sources/wal/connect.ts';
import { copyOut } from '../sources/wal/copy-out.ts';
import type { CopyJob } from './copy-plan.ts';

export interface CopyRowsOptions {
  base: Lsn;
  /** Gives the rows their ordinals. */
  ordinal(): number;
  sink: ClickHouseSink;
  metrics: Metrics;
  signal: AbortSignal;
}

const blockBytes = 16 << 20;

/** Streams a COPY (see `copySql`) into the table, or its shadow. Rows that cannot be written go to the dead letters, or end it. */
export async function copyRows(
  client: pg.Client,
  { source, table }: CopyJob,
  { sql, textColumns }: { sql: string; textColumns: Uint8Array },
  { base, ordinal, sink, metrics, signal }: CopyRowsOptions,
): Promise<void> {
  const { id, schema, name, replicaIdentity, columns } = source;
  const relation: Relation = { id, schema, name, replicaIdentity, columns };
  const encoder = table.encoder(relation);
  const baseHi = Number(base >> 32n);
  const baseLo = Number(base & 0xffffffffn);
  const body = new ByteWriter(blockBytes + (blockBytes >> 1));
  try {
    for await (const block of copyOut(client, sql, { blockBytes, signal })) {
      body.pos = 0;
      const nowUs = Date.now() * 1000;
      const { data, offsets, count } = block;
      const letters: DeadLetter[] = [];
      for (let i = 0; i < count; i++) {
        const start = body.pos;
        const place = ordinal();
        try {
          encoder.encodeCopied(data, offsets[i]!, textColumns, baseHi, baseLo, place, nowUs, body);
        } catch (error) {
          if (!table.setsAside || !isFaultOfRow(error)) throw error;
          body.pos = start;
          const version = composeVersion(encoder.epoch, base, BigInt(place));
          const change = insertOf(data, offsets[i]!, textColumns);
          letters.push(
            letterOfCopiedRow(
              'wal',
              encoder,
              change,
              { base, version, copiedAtUs: nowUs },
              error as CdcError,
            ),
          );
        }
      }
      block.release();
      crashPoint('copy-chunk');
      await sink.writeLetters(letters);
      if (body.pos > 0)
        await sink.insert(table.shadow ?? table.plan.name, encoder.insertColumns, body.written(), true);
      const written = count - letters.length;
      table.state.copiedRows += written;
      metrics.rowsWritten(table.name, 'copy', written, Date.now());
    }
  } catch (error) {
    throw queryError(error, `copying ${table.name}`);
  }
}

/** The change that would insert a row of a binary COPY, which starts at `pos` with its field count. */
function insertOf(data: Buffer, pos: number, textColumns: Uint8Array): Buffer {
  const out = new ByteWriter(1024);
  out.writeByte(Marker.new);
  out.writeBytes(data, pos, pos + 2);
  pos += 2;
  for (const isText of textColumns) {
    const length = readInt32(data, pos);
    if (length < 0) out.writeByte(Kind.null);
    else {
      out.writeByte(isText === 1 ? Kind.text : Kind.binary);
      out.writeBytes(data, pos, pos + 4 + length);
    }
    pos += 4 + Math.max(length, 0);
  }
  return out.written();
}
