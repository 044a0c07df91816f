import { saslOAuthBearer, saslPlain, saslScramSha } from '@platformatic/kafka';
import { CdcError } from '../../core/errors.ts';
import { brokerError } from './broker-errors.ts';

/** How to authenticate, as in `kafka.sasl`. */
export type Sasl =
  | { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string }
  | { mechanism: 'oauthbearer'; token: string }
  | { mechanism: 'oauthbearer'; tokenUrl: string; clientId: string; clientSecret: string; scope?: string };

type Apis = typeof import('@platformatic/kafka');
/** What the library's functions need of a connection. */
type LibraryConnection = Parameters<Apis['saslHandshakeV1']['api']>[0];
type AuthenticateApi = Apis['saslAuthenticateV2']['api'];

/** Handshake and exchange. Returns after how many milliseconds the broker wants it again; 0 for never. */
export async function authenticate(
  connection: LibraryConnection,
  handshake: Apis['saslHandshakeV1']['api'],
  api: AuthenticateApi,
  sasl: Sasl,
  address: string,
): Promise<number> {
  try {
    await handshake.async(connection, sasl.mechanism.toUpperCase());
    const answer = await exchange(connection, api, sasl);
    // A refused token comes as bytes, which the client is to acknowledge first (RFC 7628, 3.2.3).
    if (sasl.mechanism === 'oauthbearer' && answer.authBytes.length > 0)
      throw refused(address, sasl, answer.authBytes.toString());
    return Number(answer.sessionLifetimeMs);
  } catch (error) {
    throw saslError(error, address, sasl);
  }
}

function exchange(connection: LibraryConnection, api: AuthenticateApi, sasl: Sasl) {
  switch (sasl.mechanism) {
    case 'plain':
      return saslPlain.authenticate(api, connection, sasl.username, sasl.password);
    case 'scram-sha-256':
    case 'scram-sha-512': {
      const algorithm = sasl.mechanism === 'scram-sha-256' ? 'SHA-256' : 'SHA-512';
      return saslScramSha.authenticate(api, connection, algorithm, sasl.username, sasl.password);
    }
    case 'oauthbearer': {
      const token = 'token' in sasl ? sasl.token : () => requestToken(sasl);
      return saslOAuthBearer.authenticate(api, connection, token, {});
    }
  }
}

/** Whatever the library wraps errors in, the code of the protocol decides. */
function saslError(error: unknown, address: string, sasl: Sasl): CdcError {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof CdcError) return cause;
    for (const part of cause instanceof AggregateError ? cause.errors : [cause]) {
      const { apiCode, serverErrorMessage } = part as { apiCode?: number; serverErrorMessage?: string };
      if (typeof apiCode === 'number')
        return brokerError(
          apiCode,
          `authenticating (${sasl.mechanism}) with the Kafka broker at ${address}`,
          serverErrorMessage,
        );
    }
  }
  return refused(address, sasl, (error as Error).message, error);
}

function refused(address: string, sasl: Sasl, reason: string, cause?: unknown): CdcError {
  return new CdcError(
    'BROKER_AUTH',
    `authenticating (${sasl.mechanism}) with the Kafka broker at ${address} failed: ${reason}`,
    { cause },
  );
}

interface TokenSource {
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  scope?: string;
}

/** By source: a token serves every connection until shortly before it expires. */
const tokens = new Map<string, { token: string; untilMs: number }>();

/** A token by the client's own credentials (RFC 6749, 4.4). */
async function requestToken(source: TokenSource): Promise<string> {
  const key = JSON.stringify(source);
  const kept = tokens.get(key);
  if (kept && kept.untilMs > Date.now()) return kept.token;
  const { tokenUrl, clientId, clientSecret, scope } = source;
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  let response: Response;
  try {
    response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope && { scope }) }),
      signal: AbortSignal.timeout(10_000),
    });
  } catch (error) {
    throw new CdcError('BROKER_UNREACHABLE', `no answer from kafka.sasl.tokenUrl ${tokenUrl}`, {
      cause: error,
      hint: 'Check the URL, and whether the identity provider runs.',
    });
  }
  const body = (await response.json().catch(() => ({}))) as {
    access_token?: unknown;
    expires_in?: unknown;
    error?: unknown;
  };
  if (!response.ok || typeof body.access_token !== 'string')
    throw new CdcError(
      response.status >= 500 ? 'BROKER_UNREACHABLE' : 'BROKER_AUTH',
      `kafka.sasl.tokenUrl ${tokenUrl} gave no token: HTTP ${response.status} ${String(body.error ?? '')}`,
      { hint: 'Check kafka.sasl.clientId, clientSecret and scope.' },
    );
  const lifetimeMs = (Number(body.expires_in) || 60) * 1000;
  tokens.set(key, { token: body.access_token, untilMs: Date.now() + lifetimeMs * 0.8 });
  return body.access_token;
}
