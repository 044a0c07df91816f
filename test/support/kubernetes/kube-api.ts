import { Agent, request } from 'node:https';
import type { Manifest } from '../helm-chart.ts';

export interface Answer {
  status: number;
  body: Manifest;
  /** What the API server has to say about an object that it takes all the same, as for Pod Security. */
  warnings: string[];
}

interface Kind {
  plural: string;
  namespaced: boolean;
}

export type Id = Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>;

/** The API of Kubernetes over HTTPS: https://kubernetes.io/docs/reference/using-api/api-concepts/ */
export class KubeApi {
  readonly url: string;
  readonly #token: string;
  readonly #agent: Agent;
  readonly #kinds = new Map<string, Kind>();

  /** `ca`: certificates in PEM. */
  constructor(url: string, token: string, ca: Buffer) {
    this.url = url;
    this.#token = token;
    this.#agent = new Agent({ ca, keepAlive: true });
  }

  /** Resolves for every status. */
  call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${this.#token}`, 'content-type': type };
      const call = request(`${this.url}${path}`, { method, headers, agent: this.#agent }, response => {
        const parts: Buffer[] = [];
        response.on('data', part => parts.push(part));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(parts).toString();
          const isJson = /^application\/json/.test(response.headers['content-type'] ?? '');
          resolve({
            status: response.statusCode!,
            body: isJson ? JSON.parse(text) : text,
            warnings: warningsOf(response.headersDistinct.warning ?? []),
          });
        });
      });
      call.once('error', reject);
      // JSON is YAML.
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Answers of any other status than these are errors. */
  async #expect(statuses: number[], ...call: Parameters<KubeApi['call']>): Promise<Manifest> {
    const { status, body } = await this.call(...call);
    if (!statuses.includes(status))
      throw new Error(`${call[0]} ${call[1]}: ${status} ${body.message ?? JSON.stringify(body)}`);
    return status === 404 ? undefined : body;
  }

  /**
   * Server-side apply, as kubectl and Argo CD do it: every field that is not known is refused.
   * @param namespace of an object that names none
   */
  async apply(object: Manifest, { dryRun = false, namespace = 'default' } = {}): Promise<Answer> {
    const query = `fieldManager=test&force=true&fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
    const path = await this.pathOf(object, namespace);
    return this.call('PATCH', `${path}?${query}`, object, 'application/apply-patch+yaml');
  }

  /** As {@link apply}; a refusal is an error. */
  async put(object: Manifest, namespace?: string): Promise<Manifest> {
    const { status, body } = await this.apply(object, { namespace });
    if (status >= 300) throw new Error(`${object.kind} ${object.metadata.name}: ${body.message}`);
    return body;
  }

  /** Undefined when there is none. */
  async get(id: Id): Promise<Manifest | undefined> {
    return this.#expect([200, 404], 'GET', await this.pathOf(id));
  }

  /** In all namespaces. */
  async list(apiVersion: string, kind: string): Promise<Manifest[]> {
    const { plural } = await this.#kind(apiVersion, kind);
    return (await this.#expect([200], 'GET', `${groupPath(apiVersion)}/${plural}`)).items;
  }

  async patch(id: Id, patch: Manifest, subresource?: 'status'): Promise<void> {
    const path = `${await this.pathOf(id)}${subresource ? `/${subresource}` : ''}`;
    await this.#expect([200, 404], 'PATCH', path, patch, 'application/merge-patch+json');
  }

  async delete(id: Id): Promise<void> {
    await this.#expect([200, 202, 404], 'DELETE', await this.pathOf(id));
  }

  /** Of a service account, for an hour. */
  async token(account: Id): Promise<string> {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    return (await this.#expect([201], 'POST', `${await this.pathOf(account)}/token`, body)).status.token;
  }

  async pathOf({ apiVersion, kind, metadata }: Id, namespace = 'default'): Promise<string> {
    const { plural, namespaced } = await this.#kind(apiVersion, kind);
    const scope = namespaced ? `/namespaces/${metadata.namespace ?? namespace}` : '';
    return `${groupPath(apiVersion)}${scope}/${plural}/${metadata.name}`;
  }

  async #kind(apiVersion: string, kind: string): Promise<Kind> {
    const key = `${apiVersion} ${kind}`;
    if (!this.#kinds.has(key)) {
      const { resources = [] } = (await this.#expect([200, 404], 'GET', groupPath(apiVersion))) ?? {};
      for (const { name, kind: of, namespaced } of resources)
        if (!name.includes('/')) this.#kinds.set(`${apiVersion} ${of}`, { plural: name, namespaced });
    }
    const found = this.#kinds.get(key);
    if (found === undefined) throw new Error(`The API server does not know ${key}`);
    return found;
  }

  close(): void {
    this.#agent.destroy();
  }
}

const groupPath = (apiVersion: string) =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

/** RFC 7234: code, agent, quoted text. Several may stand in one header. */
function warningsOf(headers: string[]): string[] {
  return headers.flatMap(header =>
    [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text!.replaceAll(/\\(.)/g, '$1')),
  );
}
