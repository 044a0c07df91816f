import type { Socket } from 'node:net';
import type pg from 'pg';

type DataListener = (chunk: Buffer) => void;

/**
 * The socket of a `pg` client that authenticated, taken over for copy mode: bytes go past `pg` until `release`.
 * The client must be idle when it is taken over and, to be released, must be idle again (ReadyForQuery was read).
 */
export class RawSession {
  readonly socket: Socket;
  readonly #listeners: DataListener[];
  readonly #onData: DataListener;

  constructor(client: pg.Client, onData: DataListener) {
    const { connection } = client as unknown as { connection: { stream: Socket } };
    this.socket = connection.stream;
    this.#listeners = this.socket.listeners('data') as DataListener[];
    this.socket.removeAllListeners('data');
    this.#onData = onData;
    this.socket.on('data', onData);
  }

  /** Sends a simple Query message. */
  query(sql: string): void {
    const length = Buffer.byteLength(sql);
    const message = Buffer.alloc(length + 6);
    message[0] = 0x51; // 'Q'
    message.writeInt32BE(length + 5, 1);
    message.write(sql, 5);
    this.socket.write(message);
  }

  /** Gives the socket back to the client. */
  release(): void {
    this.socket.off('data', this.#onData);
    for (const listener of this.#listeners) this.socket.on('data', listener);
    this.socket.resume();
  }
}
