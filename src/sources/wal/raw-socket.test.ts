import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { RawSocket } from './raw-socket.ts';

async function connected(): Promise<{ socket: RawSocket; peer: Socket; close(): void }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const socket = new RawSocket();
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [peer] = (await accepted) as [Socket];
  const close = () => {
    socket.destroy();
    peer.destroy();
    server.close();
  };
  return { socket, peer, close };
}

test('bytes are emitted, as a copy, until someone takes them', async () => {
  const { socket, peer, close } = await connected();
  try {
    peer.write('first');
    const [first] = (await once(socket, 'data')) as [Buffer];
    const taken = new Promise<string>(resolve => {
      socket.receiver = (buffer, length) => resolve(buffer.toString('latin1', 0, length));
    });
    peer.write('SECOND');
    assert.equal(await taken, 'SECOND');
    assert.equal(first.toString(), 'first');
    socket.receiver = undefined;
    peer.write('third');
    assert.equal(String((await once(socket, 'data'))[0]), 'third');
    peer.end();
    await once(socket, 'end');
  } finally {
    close();
  }
});

test('a paused socket gives what gathered in large pieces', async () => {
  const { socket, peer, close } = await connected();
  const total = 64 * 4096;
  try {
    let received = 0;
    let pieces = 0;
    const complete = new Promise<void>(resolve => {
      socket.receiver = (_, length) => {
        received += length;
        pieces++;
        if (received === total) resolve();
      };
    });
    socket.pause();
    for (let i = 0; i < 64; i++) await new Promise(sent => peer.write(Buffer.alloc(4096, i), sent));
    assert.equal(received, 0);
    socket.resume();
    await complete;
    assert.ok(pieces < 16, `${pieces} pieces`);
  } finally {
    close();
  }
});
