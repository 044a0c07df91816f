import assert from 'node:assert/strict';
import { Op } from '../../src/core/batch.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { Kind } from '../../src/core/tuple.ts';
import type { ClickHouse } from '../../src/sinks/clickhouse/client.ts';
import { type UserEventOptions, UserEvents } from '../../src/sources/synthetic/user-events.ts';

/** A row as `readUserEvents` has it: every value as text. */
export type UserEventRow = [
  id: string,
  userId: string,
  type: string,
  payload: string,
  amount: string | null,
  occurredAt: string,
];

export interface UserEventChange {
  op: number;
  id: string;
  /** Undefined for a delete. */
  row: UserEventRow | undefined;
}

export const userEventDefaults: UserEventOptions = {
  seed: 42,
  users: 10_000,
  updates: 0.05,
  deletes: 0.01,
  start: '2025-01-01',
};

/** Change `n`, decoded from its bytes. */
export function userEventChange(events: UserEvents, n: number, out = new ByteWriter(4096)): UserEventChange {
  const offset = out.pos;
  const op = events.write(n, out);
  const values = decodeTuple(out.buf, offset + 1);
  const id = values[0]!.readBigInt64BE().toString();
  if (op === Op.delete) return { op, id, row: undefined };
  const [, user, type, payload, amount, occurredAt] = values;
  return {
    op,
    id,
    row: [
      id,
      user!.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
      type!.toString(),
      payload!.toString('utf8', 1),
      amount ? decodeNumeric(amount) : null,
      decodeTime(occurredAt!.readBigInt64BE()),
    ],
  };
}

/** The table after changes 1 to `until`, in the order of ids. */
export function expectedUserEvents(until: number, options: Partial<UserEventOptions> = {}): UserEventRow[] {
  const events = new UserEvents({ ...userEventDefaults, ...options });
  const rows = new Map<string, UserEventRow>();
  const out = new ByteWriter(4096);
  for (let n = 1; n <= until; n++) {
    out.pos = 0;
    const { id, row } = userEventChange(events, n, out);
    if (row) rows.set(id, row);
    else rows.delete(id);
  }
  return [...rows.values()].sort(([a], [b]) => Number(a) - Number(b));
}

/** The current rows of `table` in ClickHouse, as `expectedUserEvents` has them. */
export async function readUserEvents(clickhouse: ClickHouse, table: string): Promise<UserEventRow[]> {
  const rows = await clickhouse.query<Record<string, string | null>>(
    `SELECT toString(id) AS i, toString(user_id) AS u, event_type AS e, payload AS p, toDecimalString(amount, 2) AS a,
            toString(occurred_at) AS o
       FROM ${table} FINAL ORDER BY id`,
  );
  return rows.map(({ i, u, e, p, a, o }) => [i, u, e, p, a, o] as UserEventRow);
}

/** Both have tens of thousands of rows: only what differs first is shown. */
export function expectSameRows(actual: readonly UserEventRow[], expected: readonly UserEventRow[]): void {
  const differs = expected.findIndex((row, i) => row.join('\0') !== actual[i]?.join('\0'));
  if (differs >= 0) assert.deepEqual(actual[differs], expected[differs], `row ${differs} differs`);
  assert.equal(actual.length, expected.length);
}

function decodeTuple(data: Buffer, offset: number): (Buffer | undefined)[] {
  let pos = offset + 2;
  return Array.from({ length: data.readInt16BE(offset) }, () => {
    if (data[pos++] === Kind.null) return undefined;
    const start = pos + 4;
    pos = start + data.readInt32BE(pos);
    return data.subarray(start, pos);
  });
}

/** The digits of numeric_send, with two after the point. */
function decodeNumeric(value: Buffer): string {
  let hundredths = 0n;
  const weight = value.readInt16BE(2);
  for (let i = 0; i < value.readInt16BE(0); i++)
    hundredths += (BigInt(value.readInt16BE(8 + 2 * i)) * 100n * 10_000n ** BigInt(weight - i + 1)) / 10_000n;
  const text = hundredths.toString().padStart(3, '0');
  return `${value.readUInt16BE(4) === 0x4000 ? '-' : ''}${text.slice(0, -2)}.${text.slice(-2)}`;
}

function decodeTime(micros: bigint): string {
  const date = new Date(Number(micros / 1000n) + Date.UTC(2000, 0, 1));
  return `${date.toISOString().replace('T', ' ').slice(0, -1)}${String(micros % 1000n).padStart(3, '0')}`;
}
