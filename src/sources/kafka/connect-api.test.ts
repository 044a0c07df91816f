import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { freePort } from '../../../test/support/free-port.ts';
import type { CdcError } from '../../core/errors.ts';
import { ConnectApi } from './connect-api.ts';

let server: Server;
let answer: { status: number; body: unknown };
let authorization: string | undefined;

beforeEach(async () => {
  server = createServer((request, response) => {
    ({ authorization } = request.headers);
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const api = (credentials = '') =>
  new ConnectApi(`http://${credentials}127.0.0.1:${(server.address() as AddressInfo).port}/`);

test('of a failed part the first line of the trace is told, and its innermost cause; passwords are not', async () => {
  const trace = [
    'org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception',
    '\tat io.debezium.Task.start(Task.java:1)',
    'Caused by: java.io.IOException: outer',
    'Caused by: org.postgresql.util.PSQLException: jdbc:postgresql://me:secret@db/app refused',
    '\t... 9 more',
  ].join('\n');
  answer = {
    status: 200,
    body: {
      b: { info: { config: { 'topic.prefix': 'p' } }, status: { connector: { state: 'PAUSED' }, tasks: [] } },
      a: { status: { connector: { state: 'RUNNING' }, tasks: [{ id: 0, state: 'FAILED', trace }] } },
    },
  };
  const [a, b] = await api().connectors();
  assert.deepEqual(b, {
    name: 'b',
    config: { 'topic.prefix': 'p' },
    connector: { state: 'PAUSED' },
    tasks: [],
  });
  assert.equal(a!.tasks[0]!.state, 'FAILED');
  assert.equal(
    a!.tasks[0]!.reason,
    'org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception – caused by org.postgresql.util.PSQLException: jdbc:postgresql://me:***@db/app refused',
  );
});

test('what is no Connect, refuses or does not answer is told apart, without the password', async () => {
  const fails = async (code: string, message: RegExp, of = api('me:secret@')) => {
    await assert.rejects(of.version(), (error: CdcError) => {
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  };
  answer = { status: 401, body: {} };
  await fails('CONNECT_AUTH', /refuses access \(HTTP 401\)/);
  assert.equal(authorization, `Basic ${Buffer.from('me:secret').toString('base64')}`);
  answer = { status: 200, body: { name: 'something else' } };
  await fails('CONNECT_UNREACHABLE', /is not Kafka Connect/);
  answer = { status: 500, body: {} };
  await fails('CONNECT_UNREACHABLE', /HTTP 500/);
  const nobody = new ConnectApi(`http://me:secret@127.0.0.1:${await freePort()}`);
  await fails('CONNECT_UNREACHABLE', /does not answer: .*ECONNREFUSED/, nobody);
});
