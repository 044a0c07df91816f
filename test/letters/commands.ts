import assert from 'node:assert/strict';
import { walCdc } from '../support/command-line.ts';
import { pipelineOf as plainPipelineOf, queryClickHouse } from '../support/command-pipeline.ts';
import type { TestDatabase } from '../support/postgres.ts';

/** A pipeline named like the test's database, whose tables `t` and `log` set bad rows aside. */
export function pipelineOf(db: TestDatabase, settings: Record<string, string> = {}) {
  return plainPipelineOf(db, {
    WAL_CDC_TABLEOPTIONS: '{ "public.t": { onError: dead-letter }, "public.log": { onError: dead-letter } }',
    ...settings,
  });
}

export async function clickhouse(sql: string): Promise<Record<string, string>[]> {
  return (await queryClickHouse(sql)) as Record<string, string>[];
}

/** Runs a command that is to end with `code`. */
export async function command(line: string, env: Record<string, string>, code = 0): Promise<string> {
  const result = await walCdc(line.split(' '), { env });
  assert.equal(result.code, code, `${line}: ${result.stdout}${result.stderr}`);
  return code === 0 || code === 4 ? result.stdout : result.stderr;
}
