import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeFetchResponse } from './fetch-response.ts';

/** By version: the same partition, with three aborted and three committed transactions, as a broker sent it. */
const { fetchResponses }: { fetchResponses: Record<string, string> } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/kafka-bytes.json', import.meta.url), 'utf8'),
);

for (const [version, base64] of Object.entries(fetchResponses)) {
  test(`version ${version} gives the partition`, () => {
    const bytes = Buffer.from(base64, 'base64');
    const { errorCode, throttleMs, partitions } = decodeFetchResponse(bytes, 0, Number(version));
    assert.deepEqual([errorCode, throttleMs, partitions.length], [0, 0, 1]);
    const { topic, start, end, ...rest } = partitions[0]!;
    assert.equal(topic, Number(version) >= 13 ? 'eeff0082-0faa-4477-b50b-fcae39a37cf9' : 'golden-txn');
    assert.deepEqual(rest, {
      partition: 0,
      errorCode: 0,
      highWatermark: 11,
      lastStableOffset: 11,
      logStartOffset: Number(version) >= 5 ? 0 : -1,
      aborted: [
        { producerId: 1, firstOffset: 0 },
        { producerId: 2, firstOffset: 9 },
      ],
      divergesAt: undefined,
    });
    assert.equal(end - start, 853);
    // The first and the last batch.
    assert.equal(bytes.readBigInt64BE(start), 0n);
    assert.equal(bytes.readBigInt64BE(end - 78), 10n);
  });
}

test('a log that was cut says where', () => {
  const bytes = Buffer.from(fetchResponses['17']!, 'base64');
  // Tag 0 of the partition in the place of no tags: epoch, offset, no tags.
  const tag = Buffer.from('01000d00000002000000000000000700', 'hex');
  const cut = Buffer.concat([bytes.subarray(0, -3), tag, Buffer.from([0, 0])]);
  assert.equal(decodeFetchResponse(cut, 0, 17).partitions[0]!.divergesAt, 7);
});
