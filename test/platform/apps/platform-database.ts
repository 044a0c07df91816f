import type pg from 'pg';
import { cluster, publication, read } from './parts.ts';

export const rolePassword = 'secret';

/** Makes of an empty database what the operator makes of its Cluster and Publication. Roles are of the server: once per server. */
export async function preparePlatformDatabase(client: pg.Client, database: string): Promise<void> {
  const { initdb } = cluster.spec.bootstrap;
  await client.query(
    `CREATE ROLE ${initdb.owner} LOGIN; ALTER DATABASE ${database} OWNER TO ${initdb.owner}`,
  );
  for (const { key } of initdb.postInitApplicationSQLRefs.configMapRefs)
    await client.query(read(`platform/postgres/${key}`));
  for (const { name, inRoles, replication } of cluster.spec.managed.roles)
    await client.query(
      `CREATE ROLE ${name} LOGIN ${replication ? 'REPLICATION' : ''} PASSWORD '${rolePassword}' IN ROLE ${inRoles.join(', ')}`,
    );
  const { name, target, parameters } = publication.spec;
  const tables = target.objects.map(
    ({ table }: { table: { schema: string; name: string } }) => `${table.schema}.${table.name}`,
  );
  const options = Object.entries(parameters).map(([key, value]) => `${key} = '${value}'`);
  await client.query(
    `CREATE PUBLICATION ${name} FOR TABLE ${tables.join(', ')} WITH (${options.join(', ')})`,
  );
}
