import { postgresEpochUs } from '../../core/postgres-epoch.ts';

// Replication messages: docs "Streaming Replication Protocol"; pgoutput: "Logical Replication Message Formats".

/** CopyData payloads of a walsender. */
export const xLogData = 0x77; // 'w': int64 start, int64 end, int64 clock, then one pgoutput message
export const primaryKeepalive = 0x6b; // 'k': int64 end of WAL, int64 clock, byte reply requested

export const xLogDataHeaderBytes = 25;

/** Types of pgoutput messages, protocol version 1. */
export const Message = {
  begin: 0x42, // 'B'
  commit: 0x43, // 'C'
  origin: 0x4f, // 'O'
  relation: 0x52, // 'R'
  type: 0x59, // 'Y'
  insert: 0x49, // 'I'
  update: 0x55, // 'U'
  delete: 0x44, // 'D'
  truncate: 0x54, // 'T'
  logical: 0x4d, // 'M'
} as const;

export interface RelationMessage {
  id: number;
  schema: string;
  name: string;
  replicaIdentity: 'd' | 'n' | 'f' | 'i';
  columns: { name: string; key: boolean; typeOid: number; typmod: number }[];
}

/** `R`: int32 OID, schema, name, identity, int16 count, then per column: flags, name, type OID, typmod. */
export function decodeRelation(buf: Buffer, start: number): RelationMessage {
  let pos = start + 1;
  const readText = () => {
    const end = buf.indexOf(0, pos);
    const text = buf.toString('utf8', pos, end);
    pos = end + 1;
    return text;
  };
  const id = buf.readUInt32BE(pos);
  pos += 4;
  const schema = readText() || 'pg_catalog';
  const name = readText();
  const replicaIdentity = String.fromCharCode(buf[pos]!) as RelationMessage['replicaIdentity'];
  const count = buf.readInt16BE(pos + 1);
  pos += 3;
  const columns = Array.from({ length: count }, () => {
    const key = (buf[pos++]! & 1) === 1;
    const columnName = readText();
    const typeOid = buf.readUInt32BE(pos);
    const typmod = buf.readInt32BE(pos + 4);
    pos += 8;
    return { name: columnName, key, typeOid, typmod };
  });
  return { id, schema, name, replicaIdentity, columns };
}

/** `T`: int32 count, options, OIDs. */
export function decodeTruncate(buf: Buffer, start: number): number[] {
  const count = buf.readInt32BE(start + 1);
  return Array.from({ length: count }, (_, i) => buf.readUInt32BE(start + 6 + 4 * i));
}

/** Standby status update `r`: written, flushed and applied up to `lsn`; int64 clock, reply requested. */
export function encodeStandbyStatus(lsn: bigint, nowMs: number): Buffer {
  const message = Buffer.alloc(5 + 34);
  message[0] = 0x64; // CopyData
  message.writeInt32BE(38, 1);
  message[5] = 0x72;
  message.writeBigUInt64BE(lsn, 6);
  message.writeBigUInt64BE(lsn, 14);
  message.writeBigUInt64BE(lsn, 22);
  message.writeBigInt64BE(BigInt(Math.round(nowMs * 1000) - postgresEpochUs), 30);
  return message;
}
