/** A JSON number as it is written. */
export class ExactNumber {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** `JSON.parse`, with numbers as they are written. */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, ((_key: string, value: unknown, context: { source: string }) =>
    typeof value === 'number' ? new ExactNumber(context.source) : value) as (
    this: unknown,
    key: string,
    value: unknown,
  ) => unknown);
}

/** JSON without spaces, with numbers as they were written. */
export function formatExactJson(value: unknown): string {
  if (value instanceof ExactNumber) return value.source;
  if (Array.isArray(value)) return `[${value.map(formatExactJson).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, member]) => `${JSON.stringify(name)}:${formatExactJson(member)}`,
  );
  return `{${members.join()}}`;
}

/** Whether a JSON text has an escape that is half of a surrogate pair. */
export function hasLoneSurrogate(json: string): boolean {
  if (!json.includes('\\u')) return false;
  const escapes = /\\u(d[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}|\\u([0-9a-f]{4})|\\[^u]/gi;
  for (const [, , unit] of json.matchAll(escapes))
    if (unit !== undefined && /^d[89a-f]/i.test(unit)) return true;
  return false;
}

/** Whether a valid JSON text has more than `limit` containers within containers. */
export function isDeeperThan(limit: number, json: string): boolean {
  if ((json.match(/[[{]/g)?.length ?? 0) <= limit) return false;
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > limit) return true;
  }
  return false;
}
