import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers `GET /api/schemas/ids/{id}` as a Confluent-compatible registry does. */
export class RegistryServer {
  readonly schemas = new Map<number, object>();
  /** Paths that were asked for, with the authorization if there was one. */
  readonly requests: string[] = [];
  /** What is answered instead, once each. */
  readonly answers: { status: number; body?: string }[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<RegistryServer> {
    const server = createServer();
    const registry = new RegistryServer(server);
    server.on('request', (request, response) => {
      const { authorization } = request.headers;
      registry.requests.push(`${request.url}${authorization ? ` ${authorization}` : ''}`);
      const id = /^\/api\/schemas\/ids\/(\d+)$/.exec(request.url ?? '')?.[1];
      const found = registry.schemas.get(Number(id));
      const body = JSON.stringify(found ?? { error_code: 40403, message: 'Schema not found' });
      const answer = registry.answers.shift() ?? { status: found ? 200 : 404, body };
      response.writeHead(answer.status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
      response.end(answer.body);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return registry;
  }

  /** `schema`: Avro, as an object or text. */
  add(id: number, schema: unknown, more: object = {}): void {
    this.schemas.set(id, { schema: typeof schema === 'string' ? schema : JSON.stringify(schema), ...more });
  }

  url(credentials = ''): string {
    return `http://${credentials}127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise(resolve => this.#server.close(resolve));
  }
}
