import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  debeziumDefaults,
  jsonConverters,
  platformProfile,
} from '../../test/support/kafka/platform-profile.ts';
import { loadConfig } from '../config.ts';
import { advisedSettings, compareModes, compareProfile } from './connector-profile.ts';

const source = { postgresUrl: 'postgres://me@db/app', topicPrefix: 'p', slot: 's', publication: 'p' };
const advised: Record<string, string> = platformProfile(source);
const { kafka } = loadConfig({ env: {}, flags: {} });
const names = (deviations: { what: string }[]) => deviations.map(({ what }) => what);

test('what docs/cdc.md advises is what is compared', () => {
  const page = readFileSync(new URL('../../docs/cdc.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (`.+?`) \| (`.+?`) \|/gm)].flatMap(([, settings, values]) => {
    const list = (text: string) => text.split(', ').map(part => part.replaceAll('`', ''));
    return list(settings!).map((name, i) => [name, list(values!)[i]]);
  });
  const documented = Object.fromEntries(rows);
  for (const { name, advised } of advisedSettings) assert.equal(documented[name], advised, name);
  for (const name of Object.keys(documented))
    assert.ok(
      /converter$|^…/.test(name) || advisedSettings.some(setting => setting.name === name),
      `${name} is not compared`,
    );
});

test('a connector as advised deviates in nothing', () => {
  assert.deepEqual(compareProfile(advised), []);
  assert.deepEqual(compareModes(advised, kafka), []);
});

test("Debezium's defaults cost what they cost", () => {
  const schemaless = { ...jsonConverters({ schemas: false }), ...debeziumDefaults(source) };
  assert.deepEqual(names(compareProfile(schemaless)), [
    'decimal.handling.mode = precise (the default)',
    'time.precision.mode = adaptive (the default)',
    'interval.handling.mode = numeric (the default)',
    'include.unknown.datatypes = false (the default)',
    'extended.headers.enabled = true (the default)',
    'poll.interval.ms = 500 (the default)',
    'skipped.operations = t (the default)',
    'tombstones.on.delete = true (the default)',
    'heartbeat.interval.ms = 0 (the default)',
    'publication.autocreate.mode = all_tables (the default)',
  ]);
  const [skipped] = compareProfile({ ...advised, 'skipped.operations': 'u,t' });
  assert.equal(skipped!.consequence, 'these do not arrive: updates, TRUNCATE');
});

test('the converter: schemas, NULLs, and those that are not read', () => {
  const json = { 'value.converter': 'org.apache.kafka.connect.json.JsonConverter' };
  const {
    'value.converter.schemas.enable': _,
    'value.converter.replace.null.with.default': __,
    ...rest
  } = advised;
  assert.deepEqual(names(compareProfile({ ...rest, ...json })), [
    'value.converter.schemas.enable = true (the default)',
    'value.converter.replace.null.with.default = true (the default)',
  ]);
  const avro = { ...rest, 'value.converter': 'io.confluent.connect.avro.AvroConverter' };
  assert.deepEqual(names(compareProfile(avro)), ['the Avro converter']);
  const other = { ...rest, 'value.converter': 'org.apache.kafka.connect.storage.StringConverter' };
  assert.match(compareProfile(other)[0]!.consequence, /neither JSON nor Avro/);
});

test('modes that kafka.connector has otherwise; Base64 is the same in every alphabet', () => {
  const mismatches = compareModes(
    { ...advised, 'decimal.handling.mode': 'precise', 'binary.handling.mode': 'base64-url-safe' },
    kafka,
  );
  assert.deepEqual(
    mismatches.map(({ ours, theirs, saidBySchemas }) => [ours, theirs, saidBySchemas]),
    [['kafka.connector.decimals is string', 'decimal.handling.mode = precise', true]],
  );
  const hex = compareModes(
    { ...advised, 'binary.handling.mode': 'hex', 'unavailable.value.placeholder': '?' },
    kafka,
  );
  assert.deepEqual(
    hex.map(({ ours, saidBySchemas }) => [ours, saidBySchemas]),
    [
      ['kafka.connector.binary is base64', false],
      ['kafka.connector.placeholder is __debezium_unavailable_value', false],
    ],
  );
});
