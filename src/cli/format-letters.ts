import { isUtf8 } from 'node:buffer';
import { formatCount } from '../observe/format-status.ts';
import { type DeadLetter, type LetterState, letterOwner } from '../sinks/clickhouse/dead-letter.ts';
import type { LetterSummary } from '../sinks/clickhouse/dead-letters.ts';
import { rowOf } from '../sinks/clickhouse/letter-row.ts';

/** Of an ID: enough to tell letters apart. */
const shownId = 12;
const longestKey = 40;
const longestReason = 120;
const longestValue = 200;
const longestMessage = 10_000;

/** A line for each, under a header. */
export function formatLetters(
  letters: readonly LetterSummary[],
  total: number,
  state: LetterState | 'all',
): string {
  if (letters.length === 0) return state === 'all' ? 'no dead letters' : `no ${state} dead letters`;
  const all = state === 'all';
  const cells = letters.map(letter => [
    letter.id.slice(0, shownId),
    letter.at,
    ...(all ? [letter.state] : []),
    letter.op === 'message' ? letter.position : letterOwner(letter),
    cut(formatKey(letter.key), longestKey),
    cut(`${letter.reason} (${letter.code})`, longestReason),
  ]);
  const header = ['ID', 'AT', ...(all ? ['STATE'] : []), 'TABLE', 'KEY', 'REASON'];
  const widths = header.map((title, i) => Math.max(title.length, ...cells.map(row => row[i]!.length)));
  const lines = [header, ...cells].map(row =>
    row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell)).join('  '),
  );
  if (total > letters.length)
    lines.push('', `the newest ${formatCount(letters.length)} of ${formatCount(total)}`);
  return lines.join('\n');
}

/** Everything that a letter says, for people. */
export function formatLetter(letter: DeadLetter): string {
  const { op, id, state, stateAtUs, atUs, code, reason, hint, position } = letter;
  const at = `${op} at ${position}`;
  const when = `, ${op === 'copy' ? 'copied' : 'committed'} ${timeText(letter.committedAtUs)}`;
  const lines = [
    `letter     ${id}`,
    `state      ${state}${state === 'open' ? '' : ` since ${timeText(stateAtUs)}`}`,
    `set aside  ${timeText(atUs)}`,
    `what       ${at}${op === 'message' ? '' : when}`,
    ...(op === 'message'
      ? []
      : [
          `table      ${letterOwner(letter)}`,
          `key        ${formatKey(letter.key) || 'none'}`,
          `version    ${letter.version}`,
        ]),
    `reason     ${reason} (${code})`,
    `hint       ${hint}`,
    '',
  ];
  return [...lines, ...(op === 'message' ? messageLines(letter) : rowLines(letter))].join('\n');
}

/** The same for programs: values as text, raw parts in base64. */
export function letterAsJson(letter: DeadLetter): Record<string, unknown> {
  const {
    revision: _revision,
    stateAtUs,
    atUs,
    committedAtUs,
    version,
    offset,
    kept,
    headers,
    relation,
    key,
  } = letter;
  const { change, messageKey, messageValue, topic, partition, commitLsn, changeLsn, place, ...rest } = letter;
  const isMessage = letter.op === 'message';
  return {
    id: rest.id,
    state: rest.state,
    stateAt: timeText(stateAtUs),
    at: timeText(atUs),
    mode: rest.mode,
    op: rest.op,
    code: rest.code,
    reason: rest.reason,
    hint: rest.hint,
    position: rest.position,
    committedAt: timeText(committedAtUs),
    ...(isMessage
      ? {
          topic,
          partition,
          offset: String(offset),
          messageKey: base64(messageKey),
          messageValue: base64(messageValue),
          headers: headers.map(([name, value]) => ({ name, value: base64(value) })),
        }
      : {
          schema: rest.schema,
          table: rest.table,
          key: JSON.parse(key),
          version: String(version),
          commitLsn,
          changeLsn,
          place,
          row: rowOf(letter),
          change: base64(change),
          relation: JSON.parse(relation),
          kept: kept.map(({ column, type, value }) => ({ column, type, value: base64(value) })),
        }),
  };
}

function rowLines(letter: DeadLetter): string[] {
  const columns = rowOf(letter);
  const nameWidth = Math.max(...columns.map(({ name }) => name.length));
  const typeWidth = Math.max(...columns.map(({ type }) => type.length));
  return columns.map(({ name, type, value, before }) => {
    const kept = letter.kept.find(({ column }) => column === name);
    const now =
      value !== undefined
        ? formatValue(value)
        : before !== undefined
          ? 'unchanged'
          : kept
            ? `unchanged: ${formatCount(kept.value.length)} bytes, kept as ${kept.type}`
            : 'unchanged';
    return `  ${name.padEnd(nameWidth)}  ${type.padEnd(typeWidth)}  ${now}${before === undefined ? '' : `  (before: ${formatValue(before)})`}`;
  });
}

function messageLines({ topic, partition, offset, messageKey, messageValue, headers }: DeadLetter): string[] {
  return [
    `topic      ${topic}`,
    `partition  ${partition}`,
    `offset     ${offset}`,
    ...headers.map(([name, value]) => `header     ${name}: ${formatBytes(value)}`),
    `key        ${formatBytes(messageKey)}`,
    'value',
    formatBytes(messageValue),
  ];
}

function formatKey(json: string): string {
  return Object.entries(JSON.parse(json) as Record<string, string | null>)
    .map(([name, value]) => `${name} = ${value ?? 'NULL'}`)
    .join(', ');
}

function formatValue(text: string | null): string {
  if (text === null) return 'NULL';
  if (text.length <= longestValue) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, longestValue))}… ${formatCount(text.length)} letters, "--json" has them all`;
}

/** Text where it is text, else hexadecimal. */
function formatBytes(bytes: Buffer | null): string {
  if (bytes === null) return 'none';
  const text = isUtf8(bytes) && !bytes.includes(0) ? bytes.toString() : `\\x${bytes.toString('hex')}`;
  if (text.length <= longestMessage) return text;
  return `${text.slice(0, longestMessage)}… ${formatCount(bytes.length)} bytes, "--json" has them all`;
}

function cut(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

function timeText(us: bigint): string {
  const date = new Date(Number(us / 1000n));
  return date.toISOString();
}

function base64(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString('base64');
}
