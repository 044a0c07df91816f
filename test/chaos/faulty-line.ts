import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** The line between the service and ClickHouse, with faults on request. */
export class FaultyLine implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #losing: RegExp | undefined;
  #sticking: RegExp | undefined;
  readonly #stuck: (() => void)[] = [];
  /** Answers that were lost. */
  lost = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(targetPort: number): Promise<FaultyLine> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const line = new FaultyLine(server);
    server.on('connection', client => line.#join(client, connect(targetPort, '127.0.0.1')));
    return line;
  }

  /**
   * The next request with a part that matches is carried out, but its answer does not arrive: the connection breaks and the
   * caller cannot know the outcome. `undefined` ends it.
   */
  loseAnswer(request: RegExp | undefined): void {
    this.#losing = request;
  }

  /** Requests with a part that matches get stuck on their way. `undefined` ends it and breaks their connections. */
  stick(request: RegExp | undefined): void {
    this.#sticking = request;
    if (!request) for (const end of this.#stuck.splice(0)) end();
  }

  /** Breaks the connections that there are. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket, target: Socket): void {
    let isDoomed = false;
    const end = () => {
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      this.#sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    client.on('data', chunk => {
      const text = decodeUrl(chunk.toString('latin1'));
      if (this.#losing?.test(text)) {
        isDoomed = true;
        this.#losing = undefined;
      }
      if (this.#sticking?.test(text)) {
        client.pause();
        this.#stuck.push(end);
      } else target.write(chunk);
    });
    target.on('data', chunk => {
      // wait_end_of_query=1: the first byte of an answer comes after the work.
      if (isDoomed) {
        this.lost++;
        end();
      } else client.write(chunk);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.break();
    await once(this.#server, 'close');
  }
}

/** Statements stand in the URL of an insert and in the body of others. */
function decodeUrl(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
