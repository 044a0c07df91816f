import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../core/byte-writer.ts';
import { CopyFramer } from './copy-framer.ts';

const message = fc.record({
  type: fc.constantFrom(0x64, 0x45, 0x5a),
  body: fc.uint8Array({ maxLength: 200 }),
});

test('messages come out as they were sent, however the bytes are cut and wherever the writer is switched', () => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      (messages, cuts, switches) => {
        const sent = Buffer.concat(messages.map(({ type, body }) => frame(type, body)));
        const got: { type: number; body: number[] }[] = [];
        let writer = new ByteWriter(8);
        const framer = new CopyFramer({
          writer: () => writer,
          copyData: start => got.push({ type: 0x64, body: [...writer.buf.subarray(start, writer.pos)] }),
          message: (type, body) => got.push({ type, body: [...body] }),
        });
        for (let pos = 0, i = 0; pos < sent.length; i++) {
          const take = Math.min(cuts[i % cuts.length]!, sent.length - pos);
          framer.push(sent.subarray(pos, pos + take), take);
          pos += take;
          if (switches[i % switches.length]) {
            writer = new ByteWriter(8);
            framer.switchWriter(writer);
          }
        }
        assert.deepEqual(
          got,
          messages.map(({ type, body }) => ({ type, body: [...body] })),
        );
      },
    ),
  );
});

function frame(type: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header[0] = type;
  header.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}
