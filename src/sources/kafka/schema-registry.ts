import { setTimeout as sleep } from 'node:timers/promises';
import { CdcError } from '../../core/errors.ts';
import { AvroKind, type AvroType, parseAvroSchema } from './avro-schema.ts';
import type { ContentSchema } from './envelope-content.ts';
import { JsonEndpoint } from './json-endpoint.ts';
import type { KeyFields } from './message-key.ts';

/** Times that a schema is asked for: one that was just written may take a moment to get to every server of a registry. */
const attempts = 5;
const firstPauseMs = 100;
/** How long a schema that was not found is not asked for again. */
const unknownForMs = 30_000;

/** A schema of the registry: a record. */
export interface RegisteredSchema {
  type: AvroType;
  /** As that of a value. */
  content: ContentSchema;
  /** As that of a key. */
  key: KeyFields;
}

/**
 * Schemas by id from a registry with Confluent's API (`GET /schemas/ids/{id}`). An id stands for the same schema for ever: each is
 * fetched once. One registry serves all topics.
 */
export class SchemaRegistry {
  readonly #endpoint: JsonEndpoint;
  readonly #schemas = new Map<number, RegisteredSchema | UnusableSchema>();
  readonly #pending = new Map<number, Promise<void>>();

  /** `url` may have a user and a password. */
  constructor(url: string) {
    this.#endpoint = new JsonEndpoint(url, 'application/vnd.schemaregistry.v1+json, application/json');
  }

  /** Without user and password. */
  get address(): string {
    return this.#endpoint.address;
  }

  /** Asks for what any registry knows. @throws CdcError when the registry does not answer or refuses */
  async check(): Promise<void> {
    await this.#request('/schemas/types');
  }

  /** Whether `get` can say more than `load` would. */
  isLoaded(id: number): boolean {
    const schema = this.#schemas.get(id);
    return schema !== undefined && !(schema instanceof UnusableSchema && schema.untilMs <= performance.now());
  }

  /** The schema; the reason if there is none that can be used; `undefined` if it was never loaded. */
  get(id: number): RegisteredSchema | string | undefined {
    const schema = this.#schemas.get(id);
    return schema instanceof UnusableSchema ? schema.reason : schema;
  }

  /** Loads a schema, once at a time. @throws CdcError when the registry does not answer or refuses */
  load(id: number): Promise<void> {
    let pending = this.#pending.get(id);
    if (!pending) {
      pending = this.#fetch(id).finally(() => this.#pending.delete(id));
      this.#pending.set(id, pending);
    }
    return pending;
  }

  async #fetch(id: number): Promise<void> {
    let pauseMs = firstPauseMs;
    for (let attempt = 1; ; attempt++, pauseMs *= 2) {
      const found = await this.#request(`/schemas/ids/${id}`);
      if (found) {
        this.#schemas.set(id, registered(id, found));
        return;
      }
      if (attempt === attempts) break;
      await sleep(pauseMs);
    }
    const reason = `the schema registry at ${this.address} does not know schema ${id}`;
    this.#schemas.set(id, new UnusableSchema(reason, performance.now() + unknownForMs));
  }

  /** The JSON that the registry answers with; `undefined` for "not found". */
  async #request(path: string): Promise<Record<string, unknown> | undefined> {
    const where = `the schema registry at ${this.address}`;
    const { status, body } = await this.#endpoint.get(path).catch(error => {
      throw new CdcError('REGISTRY_UNREACHABLE', `${where} does not answer: ${error.message}`, {
        cause: error,
      });
    });
    if (status === 404) return undefined;
    if (status === 401 || status === 403)
      throw new CdcError('REGISTRY_AUTH', `${where} refuses access (HTTP ${status})`);
    if (typeof body !== 'object' || body === null)
      throw new CdcError('REGISTRY_UNREACHABLE', `${where} answers with HTTP ${status}`);
    return body as Record<string, unknown>;
  }
}

class UnusableSchema {
  readonly reason: string;
  readonly untilMs: number;

  constructor(reason: string, untilMs: number) {
    this.reason = reason;
    this.untilMs = untilMs;
  }
}

function registered(id: number, found: Record<string, unknown>): RegisteredSchema | UnusableSchema {
  const unusable = (reason: string) => new UnusableSchema(`schema ${id} of the registry ${reason}`, Infinity);
  if (found.schemaType !== undefined && found.schemaType !== 'AVRO')
    return unusable(`is ${found.schemaType}, not Avro`);
  try {
    const type = parseAvroSchema(String(found.schema));
    if (type.kind !== AvroKind.record) return unusable('is no record');
    const [row] = ['after', 'before'].flatMap(name => {
      const i = type.places.get(name);
      if (i === undefined) return [];
      const field = type.parts[i]!;
      return [field, ...field.parts].filter(({ kind }) => kind === AvroKind.record);
    });
    const content = { name: type.wire.name, row: row?.fields, columns: type.columns };
    return { type, content, key: type.fields };
  } catch (error) {
    return unusable(`cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
