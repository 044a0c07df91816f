/** The bytes of a change in a batch (src/core/tuple.ts), taken apart. */
export interface DecodedTuple {
  marker: string;
  values: DecodedValue[];
}

export interface DecodedValue {
  kind: string;
  /** Of kinds that have one. */
  text?: string;
}

export function decodeChange(bytes: Buffer): DecodedTuple[] {
  const tuples: DecodedTuple[] = [];
  let pos = 0;
  while (pos < bytes.length) {
    const marker = String.fromCharCode(bytes[pos]!);
    const count = bytes.readUInt16BE(pos + 1);
    pos += 3;
    const values: DecodedValue[] = [];
    for (let i = 0; i < count; i++) {
      const kind = String.fromCharCode(bytes[pos++]!);
      if (kind === 'n' || kind === 'u') {
        values.push({ kind });
        continue;
      }
      const length = bytes.readInt32BE(pos);
      values.push({ kind, text: utf8.decode(bytes.subarray(pos + 4, pos + 4 + length)) });
      pos += 4 + length;
    }
    tuples.push({ marker, values });
  }
  return tuples;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
