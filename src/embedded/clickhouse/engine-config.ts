import { createHash } from 'node:crypto';

/**
 * Files of the machine are tables in this database of clickhouse-local. Away from `default`, which is then an ordinary
 * database as on a server.
 */
const filesDatabase = '_local';

/** They log failed statements, whose client has the error already. */
const silentLoggers = ['executeQuery', 'DynamicQueryHandler'];

const quarterGiB = 1 << 28;

/** Engines that keep what they are given or made of; those that reach files and networks are left out. */
const tableEngines = [
  ...['', 'Replacing', 'Summing', 'Aggregating', 'Collapsing', 'VersionedCollapsing', 'Coalescing'].map(
    kind => `${kind}MergeTree`,
  ),
  ...[
    'Memory',
    'Null',
    'Log',
    'TinyLog',
    'StripeLog',
    'Buffer',
    'Set',
    'Join',
    'Merge',
    'GenerateRandom',
    'Alias',
  ],
];

/** What the user may do: everything with data, nothing that reaches files, networks or the process itself. */
const userGrants = [
  'SHOW, SELECT, INSERT, ALTER, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE ON *.*',
  'CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, CREATE FUNCTION ON *.*',
  'SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM VIEWS, SYSTEM SYNC REPLICA, SYSTEM FLUSH, SYSTEM DROP CACHE ON *.*',
  ...tableEngines.map(engine => `TABLE ENGINE ON ${engine}`),
];

/**
 * config.xml: small pools and caches for a machine shared with everything else, acknowledged inserts on disk. Merges are not
 * synced: outdated parts stay until the operating system has written what replaced them, also when the machine loses
 * power (a server does the same; this engine would remove them at once). One thread removes them: more hold up the inserts of
 * that second. Merges take ten parts or more, and statistics would be one more file per part.
 */
export function buildServerXml(usersPath: string): string {
  return `<clickhouse>
  <logger>
    <levels>
${silentLoggers.map(name => `      <logger><name>${name}</name><level>none</level></logger>`).join('\n')}
    </levels>
  </logger>
  <users_config>${escapeXml(usersPath)}</users_config>
  <default_database>${filesDatabase}</default_database>
  <max_server_memory_usage>${6 * quarterGiB}</max_server_memory_usage>
  <mark_cache_size>${quarterGiB / 4}</mark_cache_size>
  <primary_index_cache_size>${quarterGiB / 4}</primary_index_cache_size>
  <background_pool_size>2</background_pool_size>
  <max_parts_cleaning_thread_pool_size>1</max_parts_cleaning_thread_pool_size>
  <asynchronous_metrics_update_period_s>30</asynchronous_metrics_update_period_s>
  <asynchronous_heavy_metrics_update_period_s>600</asynchronous_heavy_metrics_update_period_s>
  <merge_tree>
    <auto_statistics_types></auto_statistics_types>
    <old_parts_lifetime>120</old_parts_lifetime>
    <min_parts_to_merge_at_once>10</min_parts_to_merge_at_once>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
`;
}

/**
 * users.xml: `user`, and `default` for the session of the process itself, which is always called so and never has a password.
 * That session has the only place that `default` has, so nobody else can get in by this name. `grants`: more of them for `user`,
 * without the word GRANT.
 */
export function buildUsersXml(user: string, password: string, grants: readonly string[] = []): string {
  return `<clickhouse>
  <profiles>
    <default>
      <implicit_select>0</implicit_select>
      <cancel_http_readonly_queries_on_client_close>1</cancel_http_readonly_queries_on_client_close>
    </default>
    <single_session>
      <profile>default</profile>
      <max_sessions_for_user>1</max_sessions_for_user>
    </single_session>
  </profiles>
  <quotas>
    <default/>
  </quotas>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>single_session</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT CREATE DATABASE ON default.*</query>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <${user}>
      <password_sha256_hex>${createHash('sha256').update(password).digest('hex')}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <default_database>default</default_database>
      <grants>
${[...userGrants, ...grants].map(grant => `        <query>GRANT ${grant}</query>`).join('\n')}
      </grants>
    </${user}>
  </users>
</clickhouse>
`;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, char => `&#${char.charCodeAt(0)};`);
}
