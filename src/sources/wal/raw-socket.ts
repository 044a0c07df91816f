import { Socket } from 'node:net';

/** Takes the bytes `buffer[0..length)`, which are there during the call only. */
export type TakeBytes = (buffer: Buffer, length: number) => void;

const bufferBytes = 4 << 20;

/**
 * A socket without TLS that reads into one buffer: nothing is allocated for a read, and what has gathered in the kernel
 * comes in one piece. Bytes go to `receiver`, or are emitted as usual while there is none.
 */
export class RawSocket extends Socket {
  receiver: TakeBytes | undefined;

  constructor() {
    super({
      onread: {
        // The system gives memory only to the part that is read into.
        buffer: Buffer.allocUnsafeSlow(bufferBytes),
        callback: (length, buffer) => {
          if (this.receiver) this.receiver(buffer as Buffer, length);
          else this.emit('data', Buffer.from(buffer.subarray(0, length)));
          return true;
        },
      },
    });
  }
}
