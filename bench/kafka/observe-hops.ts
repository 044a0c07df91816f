/**
 * Loaded before `run --mode cdc` (`--import`): notes for each message when the service had fetched it and when its row was
 * queryable, and writes that to the file BENCH_HOPS_FILE when the process ends. For one table and transactions of one row.
 */
import { writeFileSync } from 'node:fs';
import { Freshness } from '../../src/observe/freshness.ts';
import { EnvelopeKind } from '../../src/sources/kafka/envelope.ts';
import { TopicReader } from '../../src/sources/kafka/read-envelope.ts';

/** In the order of the topic; times in ms since 1970. */
export interface ServiceHops {
  fetchedMs: number[];
  queryableMs: number[];
}

const hops: ServiceHops = { fetchedMs: [], queryableMs: [] };

const { read, change } = TopicReader.prototype;
TopicReader.prototype.read = function (message, out) {
  const kind = read.call(this, message, out);
  if (kind === EnvelopeKind.change) hops.fetchedMs.push(Date.now());
  return kind;
};
TopicReader.prototype.change = function (i) {
  const isTaken = change.call(this, i);
  if (isTaken) hops.fetchedMs.push(Date.now());
  return isTaken;
};

const { record } = Freshness.prototype;
Freshness.prototype.record = function (latencyMs, transactions, nowMs) {
  for (let i = 0; i < transactions; i++) hops.queryableMs.push(nowMs);
  record.call(this, latencyMs, transactions, nowMs);
};

process.on('exit', () => writeFileSync(process.env.BENCH_HOPS_FILE!, JSON.stringify(hops)));
