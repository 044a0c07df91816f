import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { after, describe, test } from 'node:test';
import { type KafkaBroker, startKafka } from '../../../test/support/kafka/broker.ts';
import { withoutKafka } from '../../../test/support/kafka/java.ts';
import { type Listener, saslUser } from '../../../test/support/kafka/listeners.ts';
import { MemberStore, SourceMember } from '../../../test/support/kafka/source-member.ts';
import { createTopic, produce } from '../../../test/support/kafka/topics.ts';
import type { CdcError } from '../../core/errors.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

const fixture = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
const ca = fixture('ca.crt');
const client = { cert: fixture('client.crt'), key: fixture('client.key') };
const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

const sessionMs = 1500;
/** Its SASL sessions with TLS end soon; nobody may do anything but the user, and who comes without SASL. */
let shared: Promise<KafkaBroker> | undefined;
const broker = () =>
  (shared ??= startKafka({
    listeners: ['tls', 'mtls', 'sasl', 'sasl_tls'],
    settings: {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': `User:ANONYMOUS;User:${saslUser.username}`,
      'listener.name.sasl_tls.connections.max.reauth.ms': String(sessionMs),
    },
  }));
after(async () => (await shared)?.[Symbol.asyncDispose]());

async function connects(listener: Listener, options: Omit<ClusterOptions, 'brokers'>): Promise<void> {
  const cluster = new Cluster({ brokers: [(await broker()).address(listener)], ...options });
  try {
    await cluster.describe(null);
  } finally {
    cluster.close();
  }
}

async function isRefused(
  listener: Listener,
  options: Omit<ClusterOptions, 'brokers'>,
  code: string,
  message: RegExp,
): Promise<void> {
  await assert.rejects(connects(listener, options), hasCode(code, message));
}

const hasCode = (code: string, message: RegExp) => (error: CdcError) => {
  assert.equal(error.code, code, error.stack);
  assert.match(error.message, message);
  return true;
};

async function listening(server: Server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a connection to a broker', { skip: withoutKafka }, () => {
  test('TLS needs the authority, and a certificate where the broker asks for one', async () => {
    await connects('tls', { tls: { ca } });
    await isRefused('tls', { tls: {} }, 'BROKER_TLS', /127\.0\.0\.1:\d+ failed: .*certificate/);
    await connects('mtls', { tls: { ca, ...client } });
    await isRefused('mtls', { tls: { ca } }, 'BROKER_TLS', /certificate required|bad certificate/);
  });

  test('TLS on one side only is told', async () => {
    await isRefused('tls', {}, 'BROKER_TLS', /wants TLS/);
    await isRefused('plain', { tls: { ca } }, 'BROKER_UNREACHABLE', /before secure TLS connection/);
  });

  for (const mechanism of mechanisms) {
    test(`SASL ${mechanism} takes the right password only, with TLS and without`, async () => {
      const sasl = { mechanism, ...saslUser };
      await connects('sasl', { sasl });
      await connects('sasl_tls', { sasl, tls: { ca } });
      for (const wrong of [
        { ...sasl, password: 'wrong' },
        { ...sasl, username: 'nobody' },
      ])
        await isRefused(
          'sasl',
          { sasl: wrong },
          'BROKER_AUTH',
          new RegExp(`authenticating \\(${mechanism}\\) .* failed: .*(SASL_AUTHENTICATION_FAILED)`),
        );
    });
  }

  test('SASL oauthbearer takes a valid token', async () => {
    const home = await broker();
    const withToken = (token: string) => ({ sasl: { mechanism: 'oauthbearer', token } as const });
    await connects('sasl', withToken(home.token()));
    await isRefused('sasl', withToken(home.token({ expiresInS: -120 })), 'BROKER_AUTH', /invalid_token/);
    await isRefused('sasl', withToken(home.token({ aud: 'other' })), 'BROKER_AUTH', /oauthbearer/);
  });

  test('SASL oauthbearer gets tokens from an identity provider, one for all connections', async () => {
    const home = await broker();
    const requests: string[] = [];
    const provider = createHttpServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      requests.push(body);
      const { authorization } = request.headers;
      const isKnown = authorization === `Basic ${Buffer.from('app:s%3A').toString('base64')}`;
      response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          isKnown
            ? { access_token: home.token(), token_type: 'Bearer', expires_in: 600 }
            : { error: 'invalid_client' },
        ),
      );
    });
    const tokenUrl = `http://${await listening(provider)}/token`;
    const source = { mechanism: 'oauthbearer', tokenUrl, clientId: 'app', clientSecret: 's:' } as const;
    try {
      await connects('sasl', { sasl: { ...source, scope: 'kafka' } });
      await connects('sasl_tls', { sasl: { ...source, scope: 'kafka' }, tls: { ca } });
      assert.deepEqual(requests, ['grant_type=client_credentials&scope=kafka']);
      const wrong = { ...source, clientSecret: 'x' };
      await isRefused('sasl', { sasl: wrong }, 'BROKER_AUTH', /gave no token: HTTP 401 invalid_client/);
    } finally {
      provider.close();
    }
    const gone = { ...source, clientId: 'other' };
    await isRefused('sasl', { sasl: gone }, 'BROKER_UNREACHABLE', /no answer from kafka\.sasl\.tokenUrl/);
  });

  test('a broker that wants SASL ends connections that come without', async () => {
    await isRefused('sasl', {}, 'BROKER_UNREACHABLE', /ended the connection/);
  });

  test('connections whose sessions end are replaced while messages come', async () => {
    const home = await broker();
    const topic = `sessions-${randomUUID()}`;
    await createTopic(home, topic);
    const store = new MemberStore();
    await using member = await SourceMember.start(home, store, {
      topics: [topic],
      brokers: [home.address('sasl_tls')],
      tls: { ca },
      sasl: { mechanism: 'scram-sha-256', ...saslUser },
    });
    const produced: string[] = [];
    for (const startedAtMs = performance.now(); performance.now() < startedAtMs + 3.5 * sessionMs; ) {
      produced.push(`${produced.length}`);
      await produce(home, topic, [{ value: produced.at(-1)! }]);
    }
    await member.waitFor(() => store.texts.length === produced.length, 'all rows');
    assert.deepEqual(store.texts, produced);
  });

  test('a topic or group that the user may not read is told', async () => {
    const home = await broker();
    const topic = `secret-${randomUUID()}`;
    await produce(home, topic, [{ value: 'x' }]);
    const options = {
      brokers: [home.address('sasl')],
      sasl: { mechanism: 'oauthbearer', token: home.token({ sub: 'stranger' }) } as const,
    };
    await assert.rejects(
      SourceMember.start(home, new MemberStore(), { ...options, topics: [topic] }),
      hasCode('BROKER_PRIVILEGE', new RegExp(`describing topic ${topic} failed: .*TOPIC_AUTHORIZATION`)),
    );
    // A pattern does not show what may not be seen; the group is asked for then.
    await using member = await SourceMember.start(home, new MemberStore(), {
      ...options,
      topics: ['secret-.*'],
      group: 'not-allowed',
    });
    await assert.rejects(
      member.ended,
      hasCode('BROKER_PRIVILEGE', /consumer group not-allowed failed: .*GROUP_AUTHORIZATION_FAILED/),
    );
  });

  test('what does not speak the protocol is told apart from what does not answer', async () => {
    const http = createHttpServer();
    try {
      const cluster = new Cluster({ brokers: [await listening(http)] });
      await assert.rejects(cluster.describe(null), hasCode('BROKER_PROTOCOL', /does not speak Kafka/));
    } finally {
      http.close();
    }
    const closed = new Cluster({ brokers: ['127.0.0.1:1', 'no-such-host.invalid:9092'] });
    await assert.rejects(
      closed.describe(null),
      hasCode('BROKER_UNREACHABLE', /127\.0\.0\.1:1: .*ECONNREFUSED/),
    );
  });

  test('any of several addresses will do', async () => {
    const home = await broker();
    const cluster = new Cluster({ brokers: ['127.0.0.1:1', home.address()] });
    await cluster.describe(null);
    cluster.close();
  });
});
