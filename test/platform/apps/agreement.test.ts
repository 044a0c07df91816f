import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesPattern, parseDottedName } from '../../../src/config/table-patterns.ts';
import { demoTables } from '../../../src/demo/schema.ts';
import { compareModes, compareProfile } from '../../../src/service/connector-profile.ts';
import type { Manifest } from '../../support/helm-chart.ts';
import { platformProfile } from '../../support/kafka/platform-profile.ts';
import { names } from '../names.ts';
import { bytesOf, containersOf, find, pods } from './manifests.ts';
import {
  cluster,
  config,
  connector,
  installation,
  publication,
  publishedTables,
  read,
  redpanda,
  secrets,
  serviceConfig,
  services,
  usernameOf,
  values,
  variable,
  writer,
} from './parts.ts';

const database = (url: string | undefined) => {
  const { hostname, port, username, pathname } = new URL(url!);
  return { host: hostname, port: Number(port), user: username, name: pathname.slice(1) };
};
const source = database(config.postgres.address?.url);
const target = database(writer.postgres.address?.url);

/** Host and port of `host:port`. */
function hostPort(address: string): [string, number] {
  const [, host, port] = /^(.+):(\d+)$/.exec(address)!;
  return [host!, Number(port)];
}

function assertService([host, port]: [string, number], from: string): void {
  assert.ok(
    services[host]?.includes(port),
    `${from} goes to ${host}:${port}; there is ${JSON.stringify(services)}`,
  );
}

test('one line changes the mode: what each needs is there', () => {
  const modes = ['cdc', 'wal', 'synthetic'];
  assert.ok(modes.includes(values.mode));
  for (const mode of modes) assert.equal(serviceConfig(values.config, mode).mode, mode);
  assert.equal(read('apps/ingestion-service.yaml').match(/^ +mode: /gm)?.length, 1);
});

test('everybody goes to Services that there are', () => {
  for (const { host, port } of [source, target]) assertService([host, port], 'service');
  for (const broker of config.kafka.brokers) assertService(hostPort(broker), 'service');
  for (const url of [config.clickhouse.url!, config.kafka.connect!])
    assertService(hostPort(new URL(url).host), 'service');
  assertService([connector['database.hostname']!, Number(connector['database.port'])], 'connector');
  assertService(hostPort(connectSetting('BOOTSTRAP_SERVERS')), 'Connect');
  const { host } = new URL(variable('Deployment connector', 'CONNECT_URL'));
  const { metadata } = find('Service', 'connect');
  assert.deepEqual(hostPort(host)[0], metadata.name);
  assert.equal(find('Deployment', 'connector').metadata.namespace, metadata.namespace);
});

test('Services lead to pods and ports that there are', () => {
  const { spec } = find('Service', 'connect');
  const [pod] = pods().filter(({ labels }) =>
    Object.entries(spec.selector).every(([key, value]) => labels[key] === value),
  );
  assert.equal(pod!.of, 'Deployment connect');
  const ports = containersOf(pod!)[0].ports;
  assert.deepEqual(ports, [{ name: spec.ports[0].targetPort, containerPort: spec.ports[0].port }]);
});

test('the database and its users', () => {
  const { database: name, owner, secret } = cluster.spec.bootstrap.initdb;
  for (const other of [connector['database.dbname'], publication.spec.dbname, source.name, target.name])
    assert.equal(other, name);
  const roles: Record<string, Manifest> = Object.fromEntries(
    cluster.spec.managed.roles.map((role: Manifest) => [role.name, role]),
  );
  const reads = read('platform/postgres/readers.sql');
  for (const user of [connector['database.user']!, source.user]) {
    const role = roles[user];
    assert.ok(role?.login && role.replication, user);
    for (const group of role.inRoles) assert.match(reads, new RegExp(`CREATE ROLE ${group} NOLOGIN;`));
    assert.equal(usernameOf(role.passwordSecret.name), user);
  }
  assert.equal(usernameOf(secret.name), owner);
  assert.equal(target.user, owner);
  assert.match(reads, new RegExp(`FOR ROLE ${owner} `));
  assert.match(read('platform/postgres/tables.sql'), new RegExp(`^SET ROLE ${owner};`, 'm'));
});

test('publication, connector and mode wal mean the same tables of the schema that the cluster begins with', () => {
  assert.deepEqual(publishedTables.toSorted(), connector['table.include.list']!.split(',').sort());
  for (const name of demoTables) assert.ok(publishedTables.includes(`public.${name}`), name);
  for (const table of publishedTables) {
    const [schema, name] = parseDottedName(table, 2);
    assert.ok(matchesPattern(config.tables, [], schema!, name!), `${table} in mode wal`);
  }
  assert.deepEqual(
    cluster.spec.bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs.map(
      ({ name, key }: Manifest) => find('ConfigMap', name).data[key],
    ),
    ['readers.sql', 'tables.sql'].map(file => read(`platform/postgres/${file}`)),
  );
  // A partitioned table is one table for everybody.
  assert.equal(publication.spec.parameters.publish_via_partition_root, 'true');
  assert.equal(publication.spec.cluster.name, cluster.metadata.name);
  for (const name of [connector['publication.name'], config.postgres.publication])
    assert.equal(name, publication.spec.name);
});

test('slots have names of their own, and are on the standby', () => {
  assert.notEqual(connector['slot.name'], config.postgres.slot);
  assert.equal(connector['slot.failover'], 'true');
  const { replicationSlots, postgresql } = cluster.spec;
  assert.deepEqual(replicationSlots.highAvailability, { enabled: true, synchronizeLogicalDecoding: true });
  assert.partialDeepStrictEqual(postgresql.parameters, {
    wal_level: 'logical',
    // Without either of these PostgreSQL copies no slot to a standby.
    hot_standby_feedback: 'on',
    sync_replication_slots: 'on',
  });
});

test('the service reads the topics of the tables, and no others', () => {
  const patterns = config.kafka.topics.map(pattern => new RegExp(`^(?:${pattern})$`));
  const isRead = (topic: string) => patterns.some(pattern => pattern.test(topic));
  const prefix = connector['topic.prefix'];
  for (const table of connector['table.include.list']!.split(','))
    assert.ok(isRead(`${prefix}.${table}`), table);
  const others = ['config', 'offset', 'status'].map(kind =>
    connectSetting(`${kind.toUpperCase()}_STORAGE_TOPIC`),
  );
  for (const topic of [
    `__debezium-heartbeat.${prefix}`,
    `${prefix}.message`,
    `${prefix}.transaction`,
    ...others,
  ])
    assert.ok(!isRead(topic), topic);
});

test('the connector is set up as the service advises', () => {
  assert.deepEqual(compareProfile(connector), []);
  assert.deepEqual(compareModes(connector, config.kafka), []);
  const advised = platformProfile({
    postgresUrl: `postgres://${connector['database.user']}@${connector['database.hostname']}/${connector['database.dbname']}`,
    topicPrefix: connector['topic.prefix']!,
    slot: connector['slot.name']!,
    publication: connector['publication.name']!,
  });
  const { 'database.password': _, ...rest } = advised;
  for (const [name, value] of Object.entries(rest)) assert.equal(connector[name], value, name);
});

test('the connector takes its password from a file that Connect may read', () => {
  const [, folder, key] = /^\$\{dir:(.+):(.+)\}$/.exec(connector['database.password']!)!;
  assert.equal(connectSetting('CONNECT_CONFIG_PROVIDERS'), 'dir');
  assert.match(connectSetting('CONNECT_CONFIG_PROVIDERS_DIR_CLASS'), /\.DirectoryConfigProvider$/);
  assert.equal(connectSetting('CONNECT_CONFIG_PROVIDERS_DIR_PARAM_ALLOWED_PATHS'), folder);
  const { containers, volumes } = find('Deployment', 'connect').spec.template.spec;
  const mount = containers[0].volumeMounts.find(({ mountPath }: Manifest) => mountPath === folder);
  const { secret } = volumes.find(({ name }: Manifest) => name === mount.name);
  assert.equal(usernameOf(secret.secretName), connector['database.user']);
  assert.deepEqual(
    secret.items.map(({ path }: Manifest) => path),
    [key],
  );
});

test('topics and rows are as the brokers can take them', () => {
  const { statefulset, config: settings } = redpanda.valuesObject;
  const copies = ['CONFIG', 'OFFSET', 'STATUS'].map(kind =>
    connectSetting(`CONNECT_${kind}_STORAGE_REPLICATION_FACTOR`),
  );
  const expected = String(Math.min(3, statefulset.replicas));
  for (const factor of [...copies, connector['topic.creation.default.replication.factor']])
    assert.equal(factor, expected);
  assert.equal(settings.cluster.auto_create_topics_enabled, false);
  assert.ok(
    Number(connectSetting('CONNECT_PRODUCER_MAX_REQUEST_SIZE')) <= settings.cluster.kafka_batch_max_bytes,
  );
  const ofTopic = (name: string) => Number(connector[`topic.creation.default.${name}`]);
  const tables = connector['table.include.list']!.split(',').length;
  const largest = tables * ofTopic('partitions') * (ofTopic('retention.bytes') + ofTopic('segment.bytes'));
  const disk = bytesOf(redpanda.valuesObject.storage.persistentVolume.size);
  assert.ok(largest < 0.8 * disk, `topics of ${largest / 2 ** 30} GiB: docs/deploy.md, Day 2`);
  // With several partitions a row that moves to another key may need the source: docs/cdc.md.
  assert.ok(connector['topic.creation.default.partitions'] === '1' || source.host);
});

test('ClickHouse: user, grants, and the tables of init.sql', () => {
  const { users } = installation.spec.configuration;
  const user = new URL(config.clickhouse.url!).username || config.clickhouse.user;
  const own = Object.entries<Manifest>(users).filter(([key]) => key.startsWith(`${user}/`));
  assert.equal(own.length, Object.keys(users).length);
  const grants = [...read('docs/operations.md').matchAll(/^(GRANT .+) TO wal_cdc;$/gm)].map(
    ([, grant]) => grant,
  );
  assert.deepEqual(users[`${user}/grants/query`], grants);
  // By default ClickHouse's own pods alone get in; network policies say who reaches it.
  assert.deepEqual(users[`${user}/networks/ip`], ['::/0']);
  const [name] = users[`${user}/k8s_secret_password_sha256_hex`].split('/');
  assert.equal(usernameOf(name), user);
  const job = pods().find(({ of }) => of === 'Job clickhouse-init')!;
  const { command } = containersOf(job)[0];
  assert.equal(command[command.indexOf('--user') + 1], user);
  assert.equal(
    command[command.indexOf('--host') + 1],
    installation.spec.templates.serviceTemplates[0].generateName,
  );
  const init = read('clickhouse/init.sql');
  assert.ok(init.includes(`CREATE DATABASE IF NOT EXISTS \`${config.clickhouse.database}\``));
  assert.deepEqual(find('ConfigMap', job.spec.volumes[0].configMap.name).data, { 'init.sql': init });
});

test('ClickHouse is made of the templates that stand with it', () => {
  const { defaults, templates } = installation.spec;
  const [pod, volume, service] = [
    templates.podTemplates,
    templates.volumeClaimTemplates,
    templates.serviceTemplates,
  ].map(([template, ...others]) => {
    assert.deepEqual(others, []);
    return template.name;
  });
  // The operator has templates of its own: the newest image, no disk, a Service by another name.
  assert.deepEqual(defaults.templates, {
    podTemplate: pod,
    dataVolumeClaimTemplate: volume,
    serviceTemplate: service,
  });
  // The image would write a user of its own among those of the operator.
  assert.equal(variable('ClickHouseInstallation clickhouse', 'CLICKHOUSE_SKIP_USER_SETUP'), '1');
  // Whoever asks gets the newest row of a key with FINAL: the operator's own profile says otherwise.
  const { users, profiles } = installation.spec.configuration;
  assert.equal(profiles[`${users['wal_cdc/profile']}/do_not_merge_across_partitions_select_final`], 0);
});

test('the commands of docs/deploy.md go to what there is', () => {
  const page = read('docs/deploy.md');
  const { metadata, spec } = cluster;
  assert.ok(page.includes(`kubectl -n ${metadata.namespace} port-forward svc/${metadata.name}-rw 5432:5432`));
  assert.ok(
    page.includes(`kubectl -n ${metadata.namespace} get secret ${spec.bootstrap.initdb.secret.name} `),
  );
  assert.ok(
    page.includes(
      `postgres://${spec.bootstrap.initdb.owner}@127.0.0.1:5432/${spec.bootstrap.initdb.database} `,
    ),
  );
  for (const [, namespace, service, port] of page.matchAll(
    /-n (wal-cdc-\S+) port-forward svc\/(\S+) \d+:(\d+)/g,
  ))
    if (namespace !== names.argocdNamespace)
      assertService([`${service}.${namespace}.svc`, Number(port)], 'docs/deploy.md');
  for (const [, namespace, name, key] of page.matchAll(
    /-n (wal-cdc\S*) get secret (\S+) -o jsonpath='\{\.data\.(\w+)\}'/g,
  ))
    if (namespace !== names.argocdNamespace) {
      assert.ok(secrets.find(secret => secret.name === name)?.namespaces.includes(namespace!), name);
      assert.ok(['username', 'password'].includes(key!));
    }
});

const connectSetting = (name: string) => variable('Deployment connect', name);
