import type { Socket } from 'node:net';
import type pg from 'pg';
import { RawSocket, type TakeBytes } from './raw-socket.ts';
import { restAfter } from './read-pace.ts';

type DataListener = (chunk: Buffer) => void;

/** A rate over less time says nothing. */
const measureMs = 5;

/**
 * The socket of a `pg` client that authenticated, taken over for copy mode: bytes go past `pg` until `release`.
 * The client must be idle when it is taken over and, to be released, must be idle again (ReadyForQuery was read).
 */
export class RawSession {
  readonly socket: Socket;
  readonly #take: TakeBytes;
  /** Of `pg`, where they were put aside. */
  readonly #listeners: DataListener[];
  readonly #rests: boolean;
  #bytes = 0;
  #measuredAtMs = 0;
  #rest: NodeJS.Timeout | undefined;
  #paused = false;

  /** With `mayRest`, a busy connection is read in large pieces, at intervals of some milliseconds. */
  constructor(client: pg.Client, take: TakeBytes, mayRest = false) {
    const { connection } = client as unknown as { connection: { stream: Socket } };
    this.socket = connection.stream;
    this.#take = take;
    this.#listeners = this.socket.listeners('data') as DataListener[];
    this.socket.removeAllListeners('data');
    if (this.socket instanceof RawSocket)
      this.socket.receiver = (bytes, length) => this.#received(bytes, length);
    else this.socket.on('data', chunk => take(chunk, chunk.length));
    // On a unix socket, which has no address, the sender would soon stop: little gathers there.
    this.#rests = mayRest && this.socket instanceof RawSocket && this.socket.remoteAddress !== undefined;
  }

  /** Reads no more until `resume`. */
  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#rest) this.socket.resume();
  }

  #received(bytes: Buffer, length: number): void {
    this.#take(bytes, length);
    if (!this.#rests) return;
    this.#bytes += length;
    const now = performance.now();
    const elapsedMs = now - this.#measuredAtMs;
    if (elapsedMs < measureMs) return;
    const restMs = restAfter(this.#bytes, elapsedMs);
    this.#bytes = 0;
    this.#measuredAtMs = now;
    if (restMs === 0) return;
    this.socket.pause();
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      if (!this.#paused) this.socket.resume();
    }, restMs);
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
    this.socket.removeAllListeners('data');
    if (this.socket instanceof RawSocket) this.socket.receiver = undefined;
    for (const listener of this.#listeners) this.socket.on('data', listener);
    this.resume();
  }
}
