import type { Config } from '../config.ts';
import { CdcError } from '../core/errors.ts';
import { createUserEventsSql, userEventsTable } from '../sources/synthetic/table.ts';
import { publishedTables } from '../sources/wal/catalog.ts';
import { connect, queryError } from '../sources/wal/connect.ts';
import {
  buildAddTablesSql,
  buildCreatePublicationSql,
  inspectPublication,
} from '../sources/wal/publication.ts';
import { connectClickHouse, findClickHouse } from './clickhouse-address.ts';
import { describeProblem, type Plan, type PlanStep, planDatabases, planTable } from './plan.ts';
import { fitUserEvents } from './synthetic-fit.ts';
import { userEventsMisfit } from './synthetic-load-table.ts';

/** What `run` would make for generated rows. Changes nothing. */
export async function planSynthetic(config: Config): Promise<Plan> {
  if (config.synthetic.into === 'postgres') return { steps: await planPostgres(config), sawClickHouse: true };
  const opened = await findClickHouse(config);
  const sink = opened && (await connectClickHouse(opened.address));
  try {
    const { fit } = await fitUserEvents(config, sink);
    return {
      steps: [...(await planDatabases(config, [fit], sink)), planTable(config, fit)],
      sawClickHouse: sink !== undefined,
    };
  } finally {
    await sink?.clickhouse.close();
  }
}

async function planPostgres(config: Config): Promise<PlanStep[]> {
  const client = await connect(config.postgres.address!);
  try {
    const misfit = await userEventsMisfit(client);
    const table: PlanStep = {
      server: 'PostgreSQL',
      object: 'table public.user_events',
      ...(misfit === 'missing'
        ? { status: 'create', sql: createUserEventsSql }
        : misfit instanceof CdcError
          ? { status: 'problem', problem: describeProblem(misfit) }
          : { status: 'exists', note: 'fits' }),
    };
    const { publication: name, publicationGiven } = config.postgres;
    if (!publicationGiven) return [table];
    const { rows } = await client.query<{ version: number }>(
      "SELECT current_setting('server_version_num')::int AS version",
    );
    const { version } = rows[0]!;
    const publication = await inspectPublication(client, name, version);
    const isPublished = (await publishedTables(client, name, version)).some(
      other => other.schema === userEventsTable.schema && other.name === userEventsTable.name,
    );
    const step = { server: 'PostgreSQL', object: `publication ${name}` } as const;
    if (!publication)
      return [table, { ...step, status: 'create', sql: buildCreatePublicationSql(name, [userEventsTable]) }];
    if (isPublished || publication.allTables) return [table, { ...step, status: 'exists' }];
    return [table, { ...step, status: 'create', sql: buildAddTablesSql(name, [userEventsTable]) }];
  } catch (error) {
    throw queryError(error, 'looking at public.user_events');
  } finally {
    await client.end().catch(() => {});
  }
}
