import { redactText } from '../../config/redact.ts';
import { CdcError } from '../../core/errors.ts';
import { JsonEndpoint } from './json-endpoint.ts';

/** A part of a connector and how it is: `RUNNING`, `PAUSED`, `STOPPED`, `UNASSIGNED`, `RESTARTING`, `FAILED`. */
export interface ConnectorPart {
  state: string;
  /** Of a failed one: the first line of the trace. */
  reason?: string;
}

export interface Connector {
  name: string;
  /** As Connect shows it, secrets included: nothing of it is printed but what is asked for by name. */
  config: Readonly<Record<string, string>>;
  connector: ConnectorPart;
  tasks: ({ id: number } & ConnectorPart)[];
}

interface Answer {
  info?: { config?: Record<string, string> };
  status?: {
    connector?: { state?: string; trace?: string };
    tasks?: { id?: number; state?: string; trace?: string }[];
  };
}

/** The REST API of Kafka Connect, of which only questions are asked. */
export class ConnectApi {
  readonly #endpoint: JsonEndpoint;

  /** `url` may have a user and a password. */
  constructor(url: string) {
    this.#endpoint = new JsonEndpoint(url, 'application/json');
  }

  /** Without user and password. */
  get address(): string {
    return this.#endpoint.address;
  }

  async version(): Promise<string> {
    const { version } = (await this.#get('/')) as { version?: unknown };
    if (typeof version !== 'string') throw this.#unreachable('answers, but is not Kafka Connect');
    return version;
  }

  /** Every connector, by name. */
  async connectors(): Promise<Connector[]> {
    const answer = (await this.#get('/connectors?expand=info&expand=status')) as Record<string, Answer>;
    if (Array.isArray(answer))
      throw this.#unreachable('is older than 2.3, and does not say how connectors are');
    return Object.entries(answer)
      .map(([name, { info, status }]) => ({
        name,
        config: info?.config ?? {},
        connector: describePart(status?.connector),
        tasks: (status?.tasks ?? []).map((task, i) => ({ id: task.id ?? i, ...describePart(task) })),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #get(path: string): Promise<object> {
    const { status, body } = await this.#endpoint.get(path).catch(error => {
      throw this.#unreachable(`does not answer: ${error.message}`, error);
    });
    if (status === 401 || status === 403)
      throw new CdcError('CONNECT_AUTH', `Kafka Connect at ${this.address} refuses access (HTTP ${status})`);
    if (status === 409)
      throw this.#unreachable('is sharing out its connectors at the moment (HTTP 409): ask again');
    if (typeof body !== 'object' || body === null) throw this.#unreachable(`answers with HTTP ${status}`);
    return body;
  }

  #unreachable(what: string, cause?: unknown): CdcError {
    return new CdcError('CONNECT_UNREACHABLE', `Kafka Connect at ${this.address} ${what}`, { cause });
  }
}

function describePart(part: { state?: string; trace?: string } | undefined): ConnectorPart {
  const state = part?.state ?? 'UNASSIGNED';
  const first = part?.trace?.split('\n')[0]?.trim();
  // Connect wraps what happened; what says most is the innermost cause.
  const cause = part?.trace
    ?.split('\n')
    .findLast(line => line.startsWith('Caused by: '))
    ?.slice('Caused by: '.length)
    .trim();
  const reason = [first, cause].filter(text => text).join(' – caused by ');
  return { state, ...(reason && { reason: redactText(reason) }) };
}
