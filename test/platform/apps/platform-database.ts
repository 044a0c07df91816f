import type pg from 'pg';
import { demoTables } from '../../../src/demo/schema.ts';
import { cluster, publication, publishedTables, read } from './parts.ts';

export const rolePassword = 'secret';

/** Published, and no part of the demo. */
export const otherTables = publishedTables.filter(
  table => !demoTables.some(name => table === `public.${name}`),
);

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
  // Those that an application has made since.
  for (const table of otherTables)
    await client.query(`SET ROLE ${initdb.owner}; CREATE TABLE ${table} (id int PRIMARY KEY); RESET ROLE`);
  const { name, parameters } = publication.spec;
  const options = Object.entries(parameters).map(([key, value]) => `${key} = '${value}'`);
  await client.query(
    `CREATE PUBLICATION ${name} FOR TABLE ${publishedTables.join(', ')} WITH (${options.join(', ')})`,
  );
}
