import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * How clients reach the broker: `plain` always; `tls` with the certificates of test/fixtures/tls, `mtls` with a client
 * certificate besides (client.crt there); `sasl` and `sasl_tls` with any mechanism of `saslMechanisms`.
 */
export type Listener = 'plain' | 'tls' | 'mtls' | 'sasl' | 'sasl_tls';

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const;

/** The one user that PLAIN and SCRAM know. */
export const saslUser = { username: 'app', password: 'app-secret' } as const;

export interface TokenClaims {
  sub?: string;
  iss?: string;
  aud?: string;
  /** In seconds from now; negative: it has expired. */
  expiresInS?: number;
}

const protocols = {
  plain: 'PLAINTEXT',
  tls: 'SSL',
  mtls: 'SSL',
  sasl: 'SASL_PLAINTEXT',
  sasl_tls: 'SASL_SSL',
} as const;

const issuer = 'https://issuer.test';
const audience = 'kafka';
const fixture = (name: string) => join(import.meta.dirname, '../../fixtures/tls', name);

/** Signs what OAUTHBEARER asks for: the broker knows the public key by a JWKS file in `dir`. */
export class TokenIssuer {
  readonly jwksUrl: string;
  readonly #key: KeyObject;

  constructor(dir: string) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#key = privateKey;
    const file = join(dir, 'jwks.json');
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' };
    writeFileSync(file, JSON.stringify({ keys: [jwk] }));
    this.jwksUrl = pathToFileURL(file).href;
  }

  /** A JWT that the broker takes for ten minutes, unless `claims` say otherwise. */
  token({ expiresInS = 600, ...claims }: TokenClaims = {}): string {
    const nowS = Math.floor(Date.now() / 1000);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const header = part({ alg: 'RS256', typ: 'JWT', kid: 'test' });
    const payload = part({
      sub: 'app',
      iss: issuer,
      aud: audience,
      iat: nowS + Math.min(0, expiresInS - 60),
      exp: nowS + expiresInS,
      ...claims,
    });
    const signature = sign('sha256', Buffer.from(`${header}.${payload}`), this.#key).toString('base64url');
    return `${header}.${payload}.${signature}`;
  }
}

/** Lines of broker.properties that open `ports`, and the one of the controller. Certificates go to `dir`. */
export function listenerSettings(
  ports: ReadonlyMap<Listener, number>,
  controllerPort: number,
  { dir, tokens }: { dir: string; tokens: TokenIssuer },
): Record<string, string> {
  const addresses = [...ports].map(([listener, port]) => `${listener.toUpperCase()}://127.0.0.1:${port}`);
  const settings: Record<string, string> = {
    listeners: [...addresses, `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
    'advertised.listeners': addresses.join(','),
    'listener.security.protocol.map': [
      'CONTROLLER:PLAINTEXT',
      ...[...ports.keys()].map(listener => `${listener.toUpperCase()}:${protocols[listener]}`),
    ].join(','),
    'inter.broker.listener.name': 'PLAIN',
    'controller.listener.names': 'CONTROLLER',
  };
  for (const listener of ports.keys()) {
    const prefix = `listener.name.${listener}`;
    if (protocols[listener].endsWith('SSL')) {
      const keyAndCertificate = join(dir, 'server.pem');
      writeFileSync(
        keyAndCertificate,
        ['server.key', 'server.crt'].map(name => readFileSync(fixture(name))).join('\n'),
      );
      settings[`${prefix}.ssl.keystore.type`] = 'PEM';
      settings[`${prefix}.ssl.keystore.location`] = keyAndCertificate;
    }
    if (listener === 'mtls') {
      settings[`${prefix}.ssl.client.auth`] = 'required';
      settings[`${prefix}.ssl.truststore.type`] = 'PEM';
      settings[`${prefix}.ssl.truststore.location`] = fixture('client-ca.crt');
    }
    if (protocols[listener].startsWith('SASL')) Object.assign(settings, saslSettings(prefix, tokens.jwksUrl));
  }
  return settings;
}

function saslSettings(prefix: string, jwksUrl: string): Record<string, string> {
  const login = 'org.apache.kafka.common.security';
  const { username, password } = saslUser;
  const scram = `${login}.scram.ScramLoginModule required;`;
  return {
    [`${prefix}.sasl.enabled.mechanisms`]: saslMechanisms.join(','),
    [`${prefix}.plain.sasl.jaas.config`]: `${login}.plain.PlainLoginModule required user_${username}="${password}";`,
    [`${prefix}.scram-sha-256.sasl.jaas.config`]: scram,
    [`${prefix}.scram-sha-512.sasl.jaas.config`]: scram,
    [`${prefix}.oauthbearer.sasl.jaas.config`]: `${login}.oauthbearer.OAuthBearerLoginModule required;`,
    [`${prefix}.oauthbearer.sasl.server.callback.handler.class`]: `${login}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
    [`${prefix}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url`]: jwksUrl,
    [`${prefix}.oauthbearer.sasl.oauthbearer.expected.audience`]: audience,
    [`${prefix}.oauthbearer.sasl.oauthbearer.expected.issuer`]: issuer,
  };
}
