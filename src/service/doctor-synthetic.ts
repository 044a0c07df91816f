import type pg from 'pg';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { formatCount } from '../observe/format-status.ts';
import { connect, describeAddress, queryError } from '../sources/wal/connect.ts';
import { inspectPublication } from '../sources/wal/publication.ts';
import { findClickHouse } from './clickhouse-address.ts';
import type { Findings } from './doctor-findings.ts';
import { diagnoseListen } from './doctor-listen.ts';
import { diagnoseClickHouse, diagnoseDatabases } from './doctor-sink.ts';
import { diagnoseDurability } from './doctor-tables.ts';
import { fitUserEvents } from './synthetic-fit.ts';
import { userEventsMisfit } from './synthetic-load-table.ts';

const table = 'public.user_events';

/** Checks what `run` needs for generated rows. Writes nothing. */
export async function diagnoseSynthetic(config: Config, findings: Findings): Promise<void> {
  if (config.synthetic.into === 'postgres') {
    await diagnosePostgres(config, findings);
    return;
  }
  const opened = await findClickHouse(config);
  const sink = await diagnoseClickHouse(config, opened, findings);
  try {
    const { fit, checkpoint } = await fitUserEvents(config, sink);
    const { plan, problem, actual } = fit;
    if (sink && plan)
      await diagnoseDatabases(sink, config, [plan.name.database], opened!.address.user, findings);
    const target = plan && `${plan.name.database}.${plan.name.table}`;
    const next = checkpoint ? `, generated up to change ${formatCount(Number(checkpoint.position))}` : '';
    if (problem) findings.fail(table, problem);
    else if (sink) findings.ok(table, `→ ${target}, which ${actual ? 'fits' : 'run creates'}${next}`);
    diagnoseDurability(fit, findings);
    await diagnoseListen(config, findings);
  } finally {
    await sink?.clickhouse.close();
  }
}

async function diagnosePostgres(config: Config, findings: Findings): Promise<void> {
  const where = `PostgreSQL at ${describeAddress(config.postgres.address!.url)}`;
  let client: pg.Client | undefined;
  try {
    client = await connect(config.postgres.address!);
    const { rows } = await client.query<{ version: number; text: string; standby: boolean; level: string }>(
      `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text,
              pg_is_in_recovery() AS standby, current_setting('wal_level') AS level`,
    );
    const { version, text, standby, level } = rows[0]!;
    if (standby) findings.fail(where, new CdcError('SOURCE_STANDBY', 'it is a standby'));
    else findings.ok(where, `version ${text}`);
    if (level !== 'logical')
      findings.warn(
        where,
        `wal_level = ${level}: rows can be written, but no pipeline could read them from the WAL`,
        "As a superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart PostgreSQL.",
      );
    await diagnoseTable(client, findings);
    await diagnosePublication(client, config, version, findings);
  } catch (error) {
    const { code } = error as { code?: unknown };
    findings.fail(where, code === undefined ? asCdcError(error) : queryError(error, `looking at ${table}`));
  } finally {
    await client?.end().catch(() => {});
  }
}

async function diagnoseTable(client: pg.Client, findings: Findings): Promise<void> {
  const misfit = await userEventsMisfit(client);
  const lacks = async (grants: string[], check: (grant: string) => string) => {
    const { rows } = await client.query<{ held: boolean[] }>(
      `SELECT ARRAY[${grants.map(check).join(', ')}] AS held`,
    );
    return grants.filter((_, i) => !rows[0]!.held[i]);
  };
  const missing =
    misfit === 'missing'
      ? await lacks(['CREATE'], grant => `has_schema_privilege('public', '${grant}')`)
      : misfit === undefined
        ? await lacks(
            ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
            grant => `has_table_privilege('${table}', '${grant}')`,
          )
        : [];
  const on = misfit === 'missing' ? 'SCHEMA public' : table;
  if (misfit instanceof CdcError) findings.fail(table, misfit);
  else if (missing.length > 0)
    findings.fail(
      table,
      new CdcError('SOURCE_PRIVILEGE', `the role lacks ${missing.join(', ')} on ${on}`, {
        hint: `GRANT ${missing.join(', ')} ON ${on} to it.`,
      }),
    );
  else findings.ok(table, misfit === 'missing' ? 'does not exist; run creates it' : 'fits');
}

async function diagnosePublication(
  client: pg.Client,
  { postgres: { publication, publicationGiven } }: Config,
  version: number,
  findings: Findings,
): Promise<void> {
  if (!publicationGiven) return;
  const found = await inspectPublication(client, publication, version);
  findings.ok(`publication ${publication}`, found ? 'exists' : 'does not exist; run creates it');
}
