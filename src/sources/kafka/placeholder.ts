import { createHash } from 'node:crypto';

/**
 * The forms in which Debezium writes its `unavailable.value.placeholder`, by type of the column: text as it is, bytea in each
 * `binary.handling.mode`, hstore as a map or its text, arrays as one element of text or as one element for each of its bytes.
 * An array of booleans is left out: 28 times `true` may as well be a value.
 */
export class Placeholder {
  readonly #texts: Forms;
  readonly #tokens: Forms;

  constructor(text: string) {
    const bytes = Buffer.from(text);
    const quoted = JSON.stringify(text);
    const base64 = bytes.toString('base64');
    const map = `{${quoted}:${quoted}}`;
    const each = (element: (byte: number) => string) => `[${Array.from(bytes, element).join()}]`;
    const oneByte = (byte: number) => `"${Buffer.of(byte).toString('base64')}"`;
    // Java's bytes are signed.
    const signed = (byte: number) => (byte << 24) >> 24;
    this.#texts = new Forms([text, base64, base64Url(bytes), bytes.toString('hex'), map]);
    this.#tokens = new Forms([
      map,
      `[${quoted}]`,
      `["${base64}"]`,
      `["${base64Url(bytes)}"]`,
      `["${bytes.toString('hex')}"]`,
      `["${nameUuid(bytes)}"]`,
      each(byte => `${signed(byte)}`),
      each(byte => `${signed(byte)}.0`),
      each(oneByte),
      each(byte => `{"scale":0,"value":${oneByte(byte)}}`),
    ]);
  }

  get texts(): readonly Buffer[] {
    return this.#texts.forms;
  }

  get tokens(): readonly Buffer[] {
    return this.#tokens.forms;
  }

  /** Whether `src[start..end)`, the content of a JSON string, is the placeholder. */
  isText(src: Buffer, start: number, end: number): boolean {
    return this.#texts.has(src, start, end);
  }

  /** Whether `src[start..end)`, an array or object, is the placeholder: with white space too, which a transform may add. */
  isToken(src: Buffer, start: number, end: number): boolean {
    return this.#tokens.hasSpaced(src, start, end);
  }
}

/** With padding, as Java's encoder writes it. */
function base64Url(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** Java's `UUID.nameUUIDFromBytes`: version 3, without a namespace. */
function nameUuid(bytes: Buffer): string {
  const hash = createHash('md5').update(bytes).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x30;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

class Forms {
  /** 1 for lengths that a form has: most values are told apart by it. */
  readonly #lengths: Uint8Array;
  readonly forms: Buffer[];
  readonly #shortest: number;

  constructor(texts: string[]) {
    this.forms = [...new Set(texts)].map(text => Buffer.from(text));
    this.#lengths = new Uint8Array(Math.max(...this.forms.map(form => form.length)) + 1);
    for (const form of this.forms) this.#lengths[form.length] = 1;
    this.#shortest = this.#lengths.indexOf(1);
  }

  has(src: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length >= this.#lengths.length || this.#lengths[length] === 0) return false;
    for (const form of this.forms) {
      if (form.length !== length) continue;
      let i = 0;
      while (i < length && src[start + i] === form[i]) i++;
      if (i === length) return true;
    }
    return false;
  }
  /** As `has`, but white space of JSON that a form does not have may stand between its bytes. */
  hasSpaced(src: Buffer, start: number, end: number): boolean {
    if (end - start < this.#shortest) return false;
    for (const form of this.forms) if (isSpaced(form, src, start, end)) return true;
    return false;
  }
}

function isSpaced(form: Buffer, src: Buffer, start: number, end: number): boolean {
  let matched = 0;
  let isQuoted = false;
  for (let pos = start; pos < end; pos++) {
    const byte = src[pos]!;
    if (byte === form[matched]) {
      if (byte === 34 && form[matched - 1] !== 92) isQuoted = !isQuoted;
      matched++;
    } else if (byte > 32 || isQuoted) {
      return false;
    }
  }
  return matched === form.length;
}
