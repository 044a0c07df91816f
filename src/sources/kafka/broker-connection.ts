import { createConnection, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import * as kafka from '@platformatic/kafka';
import { CdcError } from '../../core/errors.ts';
import { brokerError, connectionError, KafkaError } from './broker-errors.ts';
import { authenticate, type Sasl } from './sasl.ts';

export interface ConnectionOptions {
  host: string;
  port: number;
  /** PEM texts; an empty object is TLS with the authorities that the system trusts. */
  tls?: { ca?: string; cert?: string; key?: string } | undefined;
  sasl?: Sasl | undefined;
  /** For connecting and authenticating. */
  connectTimeoutMs: number;
  /** How long an answer may take; JoinGroup and Fetch add what they wait for themselves. */
  requestTimeoutMs: number;
  /** What the socket reads into at once. */
  readBytes: number;
  /** Where an answer of this size goes; may be larger. */
  take(bytes: number): Buffer;
}

/** Requests that are made, by the library's names, in the newest version that is used. */
interface Calls {
  metadata: typeof kafka.metadataV12;
  findCoordinator: typeof kafka.findCoordinatorV6;
  joinGroup: typeof kafka.joinGroupV9;
  syncGroup: typeof kafka.syncGroupV5;
  heartbeat: typeof kafka.heartbeatV4;
  leaveGroup: typeof kafka.leaveGroupV5;
  offsetCommit: typeof kafka.offsetCommitV9;
  listOffsets: typeof kafka.listOffsetsV9;
  fetch: typeof kafka.fetchV17;
  describeGroups: typeof kafka.describeGroupsV5;
  deleteGroups: typeof kafka.deleteGroupsV2;
  offsetFetch: typeof kafka.offsetFetchV9;
  saslAuthenticate: typeof kafka.saslAuthenticateV2;
  saslHandshake: typeof kafka.saslHandshakeV1;
}

type Arguments<N extends keyof Calls> = Parameters<Calls[N]['createRequest']>;
type Answer<N extends keyof Calls> = ReturnType<Calls[N]['parseResponse']>;
interface Codec {
  api: { (connection: unknown, ...args: unknown[]): void; key: number; version: number };
}

/** An answer as it came: `bytes[at..end)` behind its header. */
export interface RawAnswer {
  bytes: Buffer;
  at: number;
  end: number;
  version: number;
}

interface Pending {
  resolve(answer: RawAnswer): void;
  reject(error: Error): void;
  version: number;
  headerBytes: number;
  timer: NodeJS.Timeout;
}

const clientId = 'wal-cdc';
/** 320 MiB: more than brokers send, and less than the first bytes of TLS or HTTP are when taken for a size. */
const mostAnswerBytes = 0x13ffffff;

/**
 * A connection to a broker, authenticated. The library encodes and decodes messages; the bytes of the socket are read here,
 * straight to where an answer belongs: chunks from Node would cost three times as much.
 */
export class BrokerConnection {
  readonly address: string;
  /** When the broker wants to be authenticated with again, ms since 1970. */
  expiresAtMs = Number.POSITIVE_INFINITY;
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #versions = new Map<number, [min: number, max: number]>();
  #correlation = 0;
  #retired = false;
  #failure: CdcError | undefined;

  /** Where the beginnings of answers are read to. */
  readonly #chunk: Buffer;
  readonly #head = Buffer.alloc(4);
  #headBytes = 0;
  #body: Buffer | undefined;
  #bodyBytes = 0;
  #filled = 0;

  /** Connects and authenticates. Rejects with a `CdcError` that names the address. */
  static async open(options: ConnectionOptions): Promise<BrokerConnection> {
    const connection = new BrokerConnection(options);
    const { connectTimeoutMs } = options;
    const timer = setTimeout(() => {
      const error = new Error(`no answer within ${connectTimeoutMs} ms`);
      connection.#fail(connectionError(error, connection.address));
    }, connectTimeoutMs);
    try {
      await connection.#connected();
      await connection.#readVersions();
      await connection.#authenticate();
    } catch (error) {
      connection.close();
      throw connectionError(error, connection.address);
    } finally {
      clearTimeout(timer);
    }
    return connection;
  }

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    const { host, port, tls, readBytes } = options;
    this.#chunk = Buffer.allocUnsafeSlow(readBytes);
    this.address = `${host}:${port}`;
    const shared = {
      host,
      port,
      onread: {
        buffer: () => this.#readInto(),
        callback: (length: number, bytes: Uint8Array) => {
          if (bytes === this.#chunk) this.#received(this.#chunk, length);
          else this.#filledTo(this.#filled + length);
          return true;
        },
      },
    };
    this.#socket = tls
      ? connectTls({ ...shared, ...tls, ...(isIP(host) ? {} : { servername: host }) })
      : createConnection(shared);
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, 10_000);
    this.#socket.on('error', error => this.#fail(connectionError(error, this.address)));
    this.#socket.on('close', () =>
      this.#fail(
        new CdcError('BROKER_UNREACHABLE', `the Kafka broker at ${this.address} ended the connection`),
      ),
    );
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** The version of a request that both sides know. */
  versionOf(name: keyof Calls): number {
    return this.#codec(name).api.version;
  }

  /** Sends a request. Resolves with the answer whatever error codes are in it. */
  async call<N extends keyof Calls>(name: N, waitMs: number, ...args: Arguments<N>): Promise<Answer<N>> {
    return this.#ask<Answer<N>>(this.#codec(name), waitMs, args);
  }

  /** Sends a fetch request, whose answer is not decoded. */
  fetch(waitMs: number, ...args: Arguments<'fetch'>): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const { api } = this.#codec('fetch');
      const sender: Sender = {
        send: (key, version, createPayload, _parse, hasRequestTags, hasAnswerTags) => {
          this.#send(key, version, createPayload(), hasRequestTags, hasAnswerTags, waitMs).then(
            resolve,
            reject,
          );
        },
      };
      api(sender, ...args);
    });
  }

  /** Closes once what was asked is answered. */
  retire(): void {
    this.#retired = true;
    if (this.#pending.size === 0) this.close();
  }

  close(): void {
    this.#fail(
      new CdcError('BROKER_UNREACHABLE', `the connection to the Kafka broker at ${this.address} was closed`),
    );
  }

  async #connected(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#socket.once(this.#options.tls ? 'secureConnect' : 'connect', resolve);
      this.#socket.once('close', () => reject(this.#failure));
    });
  }

  /** Asked on every connection: brokers may be of different versions while they are upgraded. */
  async #readVersions(): Promise<void> {
    interface Versions {
      errorCode: number;
      apiKeys: { apiKey: number; minVersion: number; maxVersion: number }[];
    }
    const { apiVersionsV3, apiVersionsV0 } = kafka as unknown as Record<string, Codec>;
    let answer = await this.#ask<Versions>(apiVersionsV3!, 0, [clientId, '1']);
    if (answer.errorCode === KafkaError.unsupportedVersion)
      answer = await this.#ask<Versions>(apiVersionsV0!, 0, []);
    if (answer.errorCode !== KafkaError.none)
      throw brokerError(answer.errorCode, `asking the Kafka broker at ${this.address} for its versions`);
    for (const { apiKey, minVersion, maxVersion } of answer.apiKeys)
      this.#versions.set(apiKey, [minVersion, maxVersion]);
  }

  #ask<A>({ api }: Codec, waitMs: number, args: unknown[]): Promise<A> {
    return new Promise((resolve, reject) => {
      api(this.#sender(waitMs), ...args, (error: { response?: A } | null, answer: A) => {
        // The library throws answers with error codes; which of them matter is for those to say who ask.
        if (error?.response !== undefined) resolve(error.response);
        else if (error) reject(error);
        else resolve(answer);
      });
    });
  }

  async #authenticate(): Promise<void> {
    const { sasl } = this.#options;
    if (!sasl) return;
    const lifetimeMs = await authenticate(
      this.#sender(0) as never,
      this.#codec('saslHandshake').api as never,
      this.#codec('saslAuthenticate').api as never,
      sasl,
      this.address,
    );
    if (lifetimeMs > 0) this.expiresAtMs = Date.now() + lifetimeMs * 0.8;
  }

  #codec(name: keyof Calls): Codec {
    const codecs = kafka as unknown as Record<string, Codec>;
    const range = this.#versions.get(keyOf(name));
    if (!range)
      throw new CdcError('BROKER_VERSION', `the Kafka broker at ${this.address} has no request ${name}`);
    for (let version = range[1]; version >= range[0]; version--) {
      const codec = codecs[`${name}V${version}`];
      if (codec) return codec;
    }
    throw new CdcError(
      'BROKER_VERSION',
      `the Kafka broker at ${this.address} has ${name} only in versions ${range[0]} to ${range[1]}`,
    );
  }

  #sender(waitMs: number): Sender {
    return {
      send: (key, version, createPayload, parse, hasRequestTags, hasAnswerTags, done) => {
        this.#send(key, version, createPayload(), hasRequestTags, hasAnswerTags, waitMs)
          .then(({ bytes, at, end }) => parse(0, key, version, kafka.Reader.from(bytes.subarray(at, end))))
          .then(answer => done(null, answer), done);
      },
    };
  }

  /** Kafka docs, "Protocol": size, header, body. Headers of newer versions end with tags. */
  #send(
    key: number,
    version: number,
    body: { buffer: Buffer },
    hasRequestTags: boolean,
    hasAnswerTags: boolean,
    waitMs: number,
  ): Promise<RawAnswer> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#correlation = (this.#correlation + 1) & 0x7fffffff;
    const correlation = this.#correlation;
    const payload = body.buffer;
    const head = Buffer.alloc(14 + clientId.length + (hasRequestTags ? 1 : 0));
    head.writeInt32BE(head.length - 4 + payload.length);
    head.writeInt16BE(key, 4);
    head.writeInt16BE(version, 6);
    head.writeInt32BE(correlation, 8);
    head.writeInt16BE(clientId.length, 12);
    head.write(clientId, 14, 'latin1');
    return new Promise((resolve, reject) => {
      const timeoutMs = this.#options.requestTimeoutMs + waitMs;
      const timer = setTimeout(() => {
        const error = new Error(`a request was not answered within ${timeoutMs} ms`);
        this.#fail(connectionError(error, this.address));
      }, timeoutMs);
      this.#pending.set(correlation, { resolve, reject, version, headerBytes: hasAnswerTags ? 5 : 4, timer });
      this.#socket.write(Buffer.concat([head, payload]));
    });
  }

  /** The rest of a large answer is read to where it belongs. */
  #readInto(): Buffer {
    const rest = this.#body ? this.#bodyBytes - this.#filled : 0;
    return rest < this.#chunk.length ? this.#chunk : this.#body!.subarray(this.#filled, this.#bodyBytes);
  }

  #received(bytes: Buffer, length: number): void {
    for (let at = 0; at < length && !this.#failure; ) {
      if (!this.#body) {
        this.#head[this.#headBytes++] = bytes[at++]!;
        if (this.#headBytes < 4) continue;
        this.#headBytes = 0;
        this.#bodyBytes = this.#head.readInt32BE(0);
        if (this.#bodyBytes < 4 || this.#bodyBytes > mostAnswerBytes) {
          this.#fail(this.#notKafka());
          return;
        }
        this.#body = this.#options.take(this.#bodyBytes);
        this.#filled = 0;
      }
      const part = Math.min(this.#bodyBytes - this.#filled, length - at);
      bytes.copy(this.#body, this.#filled, at, at + part);
      at += part;
      this.#filledTo(this.#filled + part);
    }
  }

  #filledTo(end: number): void {
    this.#filled = end;
    if (end === this.#bodyBytes) this.#answered(this.#body!);
  }

  #answered(bytes: Buffer): void {
    const end = this.#bodyBytes;
    this.#body = undefined;
    const correlation = bytes.readInt32BE(0);
    const pending = this.#pending.get(correlation);
    if (!pending) {
      this.#fail(this.#notKafka());
      return;
    }
    this.#pending.delete(correlation);
    clearTimeout(pending.timer);
    pending.resolve({ bytes, at: pending.headerBytes, end, version: pending.version });
    if (this.#retired) this.retire();
  }

  #notKafka(): CdcError {
    // A TLS record: type, version 3.x.
    if (this.#head[1] === 3 && this.#head[0]! >= 0x14 && this.#head[0]! <= 0x17)
      return new CdcError('BROKER_TLS', `the Kafka broker at ${this.address} wants TLS`);
    return new CdcError('BROKER_PROTOCOL', `what answers at ${this.address} does not speak Kafka's protocol`);
  }

  #fail(error: CdcError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#socket.destroy();
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
  }
}

/** The part of the library's connection that its requests use. */
interface Sender {
  send(
    key: number,
    version: number,
    createPayload: () => { buffer: Buffer },
    parse: (correlation: number, key: number, version: number, reader: kafka.Reader) => unknown,
    hasRequestTags: boolean,
    hasAnswerTags: boolean,
    done: (error: unknown, answer?: unknown) => void,
  ): void;
}

/** By the library's table of names. */
function keyOf(name: keyof Calls): number {
  const apiName = name[0]!.toUpperCase() + name.slice(1);
  return kafka.protocolAPIsByName[apiName as keyof typeof kafka.protocolAPIsByName];
}
