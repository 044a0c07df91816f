import assert from 'node:assert/strict';
import { Random } from '../../src/demo/random.ts';
import type { KafkaMessage } from '../../src/sources/kafka/envelope.ts';
import { TopicReader } from '../../src/sources/kafka/read-envelope.ts';
import { readEnvelopes } from '../fixtures/envelopes.ts';
import { expectedOf, validJson } from './envelope-oracle.ts';
import { isSame, readChange, withinRecords } from './read-change.ts';

const placeholder = '__debezium_unavailable_value';

/**
 * Reads mutated messages with three readers: one that predicts from what it read before, one that does not, and the oracle.
 * All must say the same, and no JSON that is not valid may be read. Failures name the seed that repeats them.
 */
export function fuzzEnvelopes(messages: number, seed: number): Map<string, number> {
  const random = new Random(seed);
  const corpus = readCorpus();
  const kinds = new Map<string, number>();
  let predicting = new TopicReader({ placeholder });
  let exact = new TopicReader({ placeholder, predict: false });
  let topic: KafkaMessage[] = [];
  for (let i = 0; i < messages; i++) {
    if (i % 500 === 0) {
      predicting = new TopicReader({ placeholder });
      exact = new TopicReader({ placeholder, predict: false });
      topic = pickTopic(random, corpus);
    }
    const message = mutateMessage(random, random.pick(topic));
    const about = () =>
      `message ${i} with seed ${seed}: ${JSON.stringify({
        key: message.key?.toString('latin1'),
        value: message.value?.toString('latin1'),
        headers: [...(message.headers ?? [])].map(([name, value]) => [name, value.toString('latin1')]),
      })}`;
    try {
      const actual = readChange(exact, message);
      const predicted = readChange(predicting, withinRecords(message));
      assert.deepEqual(predicted, actual);
      kinds.set(actual.kind, (kinds.get(actual.kind) ?? 0) + 1);
      const { value } = message;
      if (value === null) continue;
      if (validJson(value) === undefined) assert.equal(actual.kind, 'malformed');
      const expected = expectedOf({ ...message, value });
      if (!isSame(actual, expected)) assert.deepEqual(actual, expected);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}\n${about()}`, { cause: error });
    }
  }
  return kinds;
}

/** Some of the messages, which are then those of a topic. */
export function pickTopic(random: Random, corpus: readonly KafkaMessage[]): KafkaMessage[] {
  const truncates = corpus.filter(({ value }) => value?.includes('"op":"t"'));
  return [random.pick(truncates), ...Array.from({ length: 5 }, () => random.pick(corpus))];
}

/** Messages that Debezium wrote, and flattened ones. */
export function readCorpus(): KafkaMessage[] {
  const recorded = (['platform', 'schemas-off', 'schemas-on'] as const).flatMap(readEnvelopes);
  const messages: KafkaMessage[] = recorded.map(({ key, value, headers }) => ({
    key,
    value,
    headers: new Map(headers.flatMap(([name, bytes]) => (bytes ? [[name, bytes] as const] : []))),
  }));
  const flattened = (row: object, added: object) => ({
    key: Buffer.from('{"id":1}'),
    value: Buffer.from(JSON.stringify({ ...row, ...added })),
  });
  const row = { id: 1, name: 'a "b"', list: [1, null, { x: 'y' }], blob: placeholder };
  const added = {
    __table: 't',
    __lsn: 24023128,
    __source_ts_ms: 1559033904863,
    __sequence: '[null,"24023128"]',
  };
  messages.push(
    flattened(row, { __op: 'c', ...added, __deleted: 'false' }),
    flattened(row, { __op: 'u', ...added, __schema: 's', __source_ts_us: 1559033904863123 }),
    flattened({ id: 1, name: null }, { __op: 'd', ...added, __deleted: 'true' }),
    flattened({ ts_ms: 1 }, {}),
    flattened({ status: 'END', id: '1:2', event_count: 1, data_collections: [], ts_ms: 1 }, {}),
  );
  // Messages of 2 kB and more take most of the time: a few will do.
  return messages.filter(({ value }, i) => value === null || value.length < 2000 || i % 4 === 0);
}

const literals = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '-0',
    '-1',
    '1e5',
    '-1.5E-300',
    '9223372036854775807',
    '18446744073709551616',
    '01',
    '1.',
    '.5',
    '-',
    '1e',
    'NaN',
  ],
  ...[
    '""',
    '"a"',
    '"\\u00e4\\n\\t\\"\\\\\\/\\b\\f\\r"',
    '"\\ud83d\\ude00"',
    '"\\ud83d"',
    '"\\ude00\\ud83d"',
    '"\\u12"',
    '"\\x"',
    '"é😀"',
    '"\u007f"',
    '"a\tb"',
  ],
  ...[
    '[]',
    '{}',
    '[1, [2,{"a":[]}]]',
    '{"a":1,"a":2}',
    '{"a":"\\ud800"}',
    '[1,]',
    '{"a"}',
    '{"__proto__":1}',
  ],
  ...[
    `"${placeholder}"`,
    `["${placeholder}"]`,
    '"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="',
    '"c"',
    '"u"',
    '"r"',
    '"d"',
    '"x"',
    '"t"',
    '"m"',
  ],
  ...[
    '"[null,\\"24\\"]"',
    '"[\\"12\\",\\"24\\"]"',
    '"[\\"12\\", \\"24\\"]"',
    '"[null,null]"',
    '"[]"',
    '9007199254740993',
    '1795625008539000',
    '12345678901234567890',
  ],
];
const inserts = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  ' ',
  '\n',
  '\t',
  '\u0000',
  '\\u',
  '\\ud800',
  'é',
  '0',
  '1',
  '-',
  '.',
  'e',
  'null',
  '"a":1,',
  ',"a":1',
  '//',
];

export function mutateMessage(random: Random, message: KafkaMessage): KafkaMessage {
  const { key, value } = message;
  let { headers } = message;
  if (random.below(200) === 0) headers = new Map([['__debezium.newkey', Buffer.from('{"id":5}')]]);
  if (random.below(200) === 0)
    headers = new Map([['__debezium.oldkey', mutate(random, Buffer.from('{"id":5}'))]]);
  return {
    key: key && (random.below(8) === 0 ? mutate(random, key) : key),
    value: value && mutate(random, value),
    headers,
  };
}

/** The bytes in a buffer of their own or amid others, changed in none, one or a few places. */
function mutate(random: Random, bytes: Buffer): Buffer {
  let mutated: Buffer = bytes;
  for (let changes = random.pick([0, 1, 1, 1, 2, 3]); changes > 0; changes--) {
    const at = random.below(mutated.length + 1);
    mutated = random.below(3) === 0 ? mutateBytes(random, mutated, at) : mutateTokens(random, mutated);
  }
  const padding = random.below(12);
  const amid = Buffer.alloc(mutated.length + 2 * padding, '"');
  mutated.copy(amid, padding);
  return amid.subarray(padding, padding + mutated.length);
}

function mutateBytes(random: Random, bytes: Buffer, at: number): Buffer {
  const before = bytes.subarray(0, at);
  const length = random.below(random.pick([2, 4, 20, 200]));
  const span = bytes.subarray(at, at + length);
  const behind = bytes.subarray(at + length);
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([before, Buffer.of(random.below(256)), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([before, behind]);
    case 2:
      return Buffer.concat([before, span, span, behind]);
    case 3:
      return before;
    case 4:
      return Buffer.concat([before, Buffer.from(random.pick(inserts)), bytes.subarray(at)]);
    default:
      return Buffer.concat([before, Buffer.from(random.pick(inserts)), behind]);
  }
}

/** Replaces, doubles or moves a value, a name or a member, in a text that mostly stays valid. */
function mutateTokens(random: Random, bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|-?[0-9][0-9.eE+-]*|true|false|null/g)];
  const token = tokens[random.below(tokens.length)];
  if (!token) return bytes;
  const start = token.index;
  const end = start + token[0].length;
  const isName = token[1] !== undefined;
  const other = random.pick(tokens);
  const put = (replacement: string) =>
    Buffer.from(text.slice(0, start) + replacement + text.slice(end), 'latin1');
  const literal = Buffer.from(random.pick(literals)).toString('latin1');
  if (!isName) {
    if (random.below(4) === 0 && other[1] === undefined) return put(other[0]);
    return put(random.below(6) === 0 ? ` ${token[0]}\n` : literal);
  }
  switch (random.below(5)) {
    case 0:
      return other[1] === undefined ? put(token[0]) : put(other[0]);
    case 1:
      return put(`${token[0]}${literal},${token[0]}`);
    case 2:
      return put(
        token[0].replace(
          /^"(.)/,
          (_, char: string) => `"\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
        ),
      );
    case 3:
      return put(
        `${random.pick(['"x"', '"__op"', '"__lsn"', '"schema"', '"1"', '"__proto__"', '""'])}:${literal},${token[0]}`,
      );
    default:
      return put(token[0].replace(':', ' : '));
  }
}
