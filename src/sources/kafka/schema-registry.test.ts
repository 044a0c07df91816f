import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { freePort } from '../../../test/support/free-port.ts';
import { RegistryServer } from '../../../test/support/schema-registry.ts';
import { CdcError } from '../../core/errors.ts';
import { SchemaRegistry } from './schema-registry.ts';

const record = { type: 'record', name: 'R', fields: [{ name: 'id', type: 'int' }] };
let server: RegistryServer;

beforeEach(async () => {
  server = await RegistryServer.start();
});
afterEach(() => server.stop());

async function errorOf(registry: SchemaRegistry, id = 1): Promise<CdcError> {
  try {
    await registry.load(id);
  } catch (error) {
    assert.ok(error instanceof CdcError, String(error));
    assert.equal(registry.isLoaded(id), false);
    return error;
  }
  return assert.fail('loaded');
}

test('a schema that comes a moment later is waited for (K14)', async () => {
  const registry = new SchemaRegistry(server.url());
  server.answers.push({ status: 404 }, { status: 404 });
  server.add(1, record);
  const loads = [registry.load(1), registry.load(1)];
  await Promise.all(loads);
  assert.equal(registry.isLoaded(1), true);
  assert.equal(server.requests.length, 3);
  const schema = registry.get(1);
  assert.ok(typeof schema === 'object');
  assert.deepEqual(schema.key.names, ['id']);
});

test('a schema that the registry does not know is asked for a few times, then not for a while', async () => {
  const registry = new SchemaRegistry(server.url());
  assert.equal(registry.get(9), undefined);
  await registry.load(9);
  assert.equal(server.requests.length, 5);
  assert.equal(registry.isLoaded(9), true);
  assert.match(String(registry.get(9)), /does not know schema 9$/);
});

test('user and password go along, and are in no message', async () => {
  const registry = new SchemaRegistry(server.url('us%40er:p%3Aw@'));
  server.add(1, record);
  await registry.load(1);
  assert.deepEqual(server.requests, [
    `/api/schemas/ids/1 Basic ${Buffer.from('us@er:p:w').toString('base64')}`,
  ]);
  server.answers.push({ status: 401 });
  const error = await errorOf(registry, 2);
  assert.equal(error.code, 'REGISTRY_AUTH');
  assert.doesNotMatch(error.message, /p:w|p%3Aw/);
});

test('a registry that fails or is not there can be tried again', async () => {
  const registry = new SchemaRegistry(server.url());
  server.add(1, record);
  for (const answer of [
    { status: 500, body: 'oops' },
    { status: 200, body: 'no json' },
    { status: 200, body: '5' },
  ]) {
    server.answers.push(answer);
    assert.equal((await errorOf(registry)).code, 'REGISTRY_UNREACHABLE');
  }
  await registry.load(1);
  const error = await errorOf(new SchemaRegistry(`http://127.0.0.1:${await freePort()}`));
  assert.equal(error.code, 'REGISTRY_UNREACHABLE');
  assert.match(error.message, /ECONNREFUSED/);
  assert.equal(error.action, 'retry');
});
