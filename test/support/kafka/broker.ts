import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { reusablePort } from '../reusable-port.ts';
import { tempDir } from '../temp-dir.ts';
import { fetchJars } from './jars.ts';
import { type JavaProgram, startJava } from './java.ts';
import { type JavaServer, startJavaServer } from './java-server.ts';
import { type Listener, listenerSettings, saslUser, type TokenClaims, TokenIssuer } from './listeners.ts';
import { writeProperties } from './properties.ts';

export interface KafkaOptions {
  /** Beside `plain`. */
  listeners?: readonly Listener[];
  /** Lines of broker.properties by name, over the ones that we set. */
  settings?: Readonly<Record<string, string>>;
  /** Flags over ours, as in `-Xmx4g`. */
  jvm?: readonly string[];
}

/** Kafka, one node that is broker and controller. Its folder has `broker.log`. */
export interface KafkaBroker extends JavaServer {
  /** For clients, `127.0.0.1:PORT`; stays the same when it starts again. Default `plain`. */
  address(listener?: Listener): string;
  /** A JWT that OAUTHBEARER takes, unless `claims` are wrong. */
  token(claims?: TokenClaims): string;
  /** Of its jars, for other programs. */
  classPath: string;
  /** Where they are. */
  jarFolder: string;
}

/**
 * Internal topics have one copy, and one partition since 50 take their time. A broker that starts again after a crash waits
 * for the session of the one before.
 */
const brokerSettings = {
  'process.roles': 'broker,controller',
  'node.id': '1',
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '1',
  'transaction.state.log.num.partitions': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'group.initial.rebalance.delay.ms': '0',
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
};

const readyLine = 'Kafka Server started';

/** A broker of its own in a temporary folder: `await using`. Fetches the jars when this machine has none yet. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaBroker> {
  const jarFolder = await fetchJars('kafka');
  const classPath = join(jarFolder, 'kafka', '*');
  const temp = tempDir();
  const dir = temp.path;
  const tokens = new TokenIssuer(dir);
  const ports = new Map<Listener, number>();
  for (const listener of new Set<Listener>(['plain', ...(options.listeners ?? [])]))
    ports.set(listener, await reusablePort());

  const controllerPort = await reusablePort();
  const dataDir = join(dir, 'data');
  mkdirSync(dataDir);
  writeProperties(join(dir, 'broker.properties'), {
    ...brokerSettings,
    ...listenerSettings(ports, controllerPort, { dir, tokens }),
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'log.dirs': dataDir,
    ...options.settings,
  });
  const jvm = [
    '-Xms64m',
    '-Xmx1g',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
    `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${tokens.jwksUrl}`,
    ...(options.jvm ?? []),
    ...['-cp', classPath],
  ];
  const program = (name: string, ...command: string[]): JavaProgram => ({
    name,
    jarFolder,
    jvm,
    command,
    cwd: dir,
    logFile: join(dir, 'broker.log'),
  });

  await formatDataDir(program('kafka-format', 'kafka.tools.StorageTool', 'format')).catch(error => {
    temp[Symbol.dispose]();
    throw error;
  });
  const broker = program('kafka', 'kafka.Kafka', 'broker.properties');
  const server = await startJavaServer(temp, broker, output => output().includes(readyLine));
  return Object.assign(server, {
    address(listener: Listener = 'plain') {
      if (!ports.has(listener))
        throw new Error(`This broker was started without the listener "${listener}".`);
      return `127.0.0.1:${ports.get(listener)}`;
    },
    token: (claims?: TokenClaims) => tokens.token(claims),
    classPath,
    jarFolder,
  });
}

/** A broker starts only on a folder that has the id of a cluster; users of SCRAM go with it. */
async function formatDataDir(program: JavaProgram): Promise<void> {
  const { username, password } = saslUser;
  const credentials = `[name=${username},password=${password}]`;
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(name => ['--add-scram', `${name}=${credentials}`]);
  const clusterId = randomBytes(16).toString('base64url');
  // With "=", since an id may begin with "-".
  const options = ['--config=broker.properties', `--cluster-id=${clusterId}`, ...users];
  const format = startJava({ ...program, command: [...program.command, ...options] });
  if ((await format.exited) !== 0) throw new Error(`Kafka's folder was not made:\n${format.output()}`);
}
