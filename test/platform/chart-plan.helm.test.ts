import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedClickHouse } from '../support/clickhouse.ts';
import { walCdc } from '../support/command-line.ts';
import { helmMissing, renderChart, type Values } from '../support/helm-chart.ts';
import { freshDatabase } from '../support/postgres.ts';
import { mountPod } from '../support/rendered-pod.ts';
import { tempDir } from '../support/temp-dir.ts';

test('the service itself takes what a pod has, in every mode, and plans with it', {
  skip: helmMissing(),
}, async () => {
  await using db = await freshDatabase();
  await db.client.query('CREATE TABLE t (id int PRIMARY KEY)');
  const urls = { 'postgres.url': db.url, 'clickhouse.url': (await sharedClickHouse()).url };
  const expected: Record<string, { code: number; output: RegExp }> = {
    synthetic: { code: 0, output: /CREATE TABLE .+user_events/ },
    wal: { code: 0, output: /CREATE PUBLICATION[\s\S]+CREATE TABLE .+`t`/ },
    // No broker is there.
    cdc: { code: 3, output: /^code: BROKER_UNREACHABLE$/m },
  };
  const values = (mode: string): Values => ({
    mode,
    image: { repository: 'ghcr.io/example/wal-cdc' },
    config: {
      pipeline: db.name,
      clickhouse: { database: db.name },
      kafka: { brokers: ['127.0.0.1:1'], topics: ['cdc\\..*'] },
    },
    secrets: Object.fromEntries(['token', ...Object.keys(urls)].map(key => [key, { name: 'all', key }])),
  });
  const rendered = renderChart(Object.fromEntries(Object.keys(expected).map(mode => [mode, values(mode)])));
  for (const [mode, { code, output }] of Object.entries(expected)) {
    using dir = tempDir();
    const { file, env, args } = mountPod(rendered[mode]!, dir.path, { secrets: urls });
    const words = args.map(arg => arg.replace(/^run$/, 'plan').replace('/etc/wal-cdc/wal-cdc.yaml', file));
    const result = await walCdc(words, { env });
    assert.equal(result.code, code, `${mode}: ${result.stderr}`);
    assert.match(result.stdout + result.stderr, output, mode);
  }
});
