import type pg from 'pg';
import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { connect, describeAddress, queryError, quoteLiteral } from '../sources/wal/connect.ts';
import { TypeCatalog } from '../sources/wal/types.ts';
import type { Findings } from './doctor-findings.ts';
import { identifySystem, type SourceSession } from './source-setup.ts';

/** First minor version of a major one in which rows written while a publication is altered are not lost to decoding. */
const firstSafeMinor: Record<number, number> = { 14: 18, 15: 13, 16: 9, 17: 5 };
const newestMajor = 18;

export interface ServerFacts {
  version: number;
  versionText: string;
  database: string;
  standby: boolean;
  tls: string | null;
  /** Whether the connection leaves this machine. */
  remote: boolean;
  walLevel: string;
  slots: number;
  ownSlot: boolean;
  walSenders: number;
  maxSlots: number;
  maxWalSenders: number;
  /** -1: no limit. */
  slotKeepMb: number;
  senderTimeoutMs: number;
  /** `0` when off; null before 18. */
  idleSlotTimeout: string | null;
  decodingMemory: string;
  synchronousCommit: string;
  synchronousStandbys: string;
  walWriterDelayMs: number;
}

/** Looks at the server as a whole. Returns a session for the checks that follow, unless nothing can follow. */
export async function diagnoseServer(config: Config, findings: Findings): Promise<SourceSession | undefined> {
  const address = config.postgres.address!;
  const client = await connect(address).catch(error => {
    findings.fail('PostgreSQL', asCdcError(error));
    return undefined;
  });
  if (!client) return undefined;
  try {
    const facts = await readServerFacts(client, config.postgres.slot);
    findings.ok('PostgreSQL', `version ${facts.versionText} at ${describeAddress(address.url)}`);
    const isUsable = diagnoseVersion(facts, findings);
    diagnoseTls(facts, findings);
    if (facts.standby) {
      findings.fail('PostgreSQL', new CdcError('SOURCE_STANDBY', 'the server is a standby'));
      await client.end();
      return undefined;
    }
    diagnoseWalLevel(facts, findings);
    const system = await identifySystem(address).catch(error => {
      findings.fail('replication', asCdcError(error));
      return undefined;
    });
    if (system) findings.ok('replication', 'the role may stream changes');
    diagnoseCapacity(facts, findings);
    diagnoseSettings(facts, findings);
    if (!isUsable) {
      await client.end();
      return undefined;
    }
    return {
      address,
      client,
      info: {
        serverVersion: facts.version,
        database: facts.database,
        systemId: system?.systemId ?? '',
        timeline: system?.timeline ?? 0,
      },
      types: new TypeCatalog(),
    };
  } catch (error) {
    await client.end().catch(() => {});
    throw queryError(error, 'looking at the source');
  }
}

export async function readServerFacts(client: pg.Client, slot: string): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(factsSql(slot));
  return rows[0]!;
}

function factsSql(slot: string): string {
  const number = (name: string) => `(SELECT setting::float8 FROM pg_settings WHERE name = '${name}')`;
  return `
    SELECT current_setting('server_version_num')::int AS version,
           split_part(current_setting('server_version'), ' ', 1) AS "versionText",
           current_database() AS database, pg_is_in_recovery() AS standby,
           (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
           coalesce(NOT inet_client_addr() <<= '127.0.0.0/8' AND inet_client_addr() <> '::1', false) AS remote,
           current_setting('wal_level') AS "walLevel",
           (SELECT count(*)::int FROM pg_replication_slots) AS slots,
           EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = ${quoteLiteral(slot)}) AS "ownSlot",
           (SELECT count(*)::int FROM pg_stat_replication) AS "walSenders",
           ${number('max_replication_slots')} AS "maxSlots", ${number('max_wal_senders')} AS "maxWalSenders",
           ${number('max_slot_wal_keep_size')} AS "slotKeepMb", ${number('wal_sender_timeout')} AS "senderTimeoutMs",
           current_setting('idle_replication_slot_timeout', true) AS "idleSlotTimeout",
           current_setting('logical_decoding_work_mem') AS "decodingMemory",
           current_setting('synchronous_commit') AS "synchronousCommit",
           current_setting('synchronous_standby_names') AS "synchronousStandbys",
           ${number('wal_writer_delay')} AS "walWriterDelayMs"`;
}

/** False when the server is too old for the checks that follow. */
export function diagnoseVersion(
  { version, versionText }: Pick<ServerFacts, 'version' | 'versionText'>,
  findings: Findings,
): boolean {
  const major = Math.floor(version / 10_000);
  const minor = version % 10_000;
  if (major < 14) {
    findings.fail(
      'PostgreSQL',
      new CdcError('SOURCE_VERSION', `version ${versionText} is too old, 14 or newer is needed`),
    );
    return false;
  }
  if (major > newestMajor)
    findings.warn(
      'PostgreSQL',
      `version ${versionText} is newer than any that was tested`,
      `Versions 14 to ${newestMajor} are.`,
    );
  const safe = firstSafeMinor[major];
  if (safe !== undefined && minor < safe)
    findings.warn(
      'PostgreSQL',
      `version ${versionText} can lose rows of transactions that are open while a table is added to a publication`,
      `Upgrade to ${major}.${safe}; until then run "wal-cdc verify" after tables were added.`,
    );
  return true;
}

export function diagnoseTls({ tls, remote }: ServerFacts, findings: Findings): void {
  if (tls) findings.ok('TLS', `the connection is encrypted (${tls})`);
  else if (!remote) findings.ok('TLS', 'not used; the connection does not leave this machine');
  else
    findings.warn(
      'TLS',
      'the connection is not encrypted',
      'Add sslmode=verify-full to postgres.url (and ssl = on at the server).',
    );
}

function diagnoseWalLevel({ walLevel }: ServerFacts, findings: Findings): void {
  if (walLevel === 'logical') findings.ok('wal_level', 'logical');
  else findings.fail('wal_level', new CdcError('WAL_LEVEL', `wal_level is ${walLevel}, logical is needed`));
}

function diagnoseCapacity(facts: ServerFacts, findings: Findings): void {
  const { slots, ownSlot, maxSlots, walSenders, maxWalSenders } = facts;
  const inUse = `${slots} of ${maxSlots} in use`;
  if (slots < maxSlots - 1 || (ownSlot && slots < maxSlots)) findings.ok('max_replication_slots', inUse);
  else if (ownSlot || slots < maxSlots)
    findings.warn(
      'max_replication_slots',
      `${inUse}: none is left for "wal-cdc verify" and for copying tables without a key`,
      'Drop slots that nobody uses, or raise max_replication_slots and restart PostgreSQL.',
    );
  else
    findings.fail(
      'max_replication_slots',
      new CdcError('SOURCE_PRIVILEGE', `${inUse}: none is free`, {
        hint: 'Drop slots that nobody uses, or raise max_replication_slots and restart PostgreSQL.',
      }),
    );
  if (walSenders < maxWalSenders) findings.ok('max_wal_senders', `${walSenders} of ${maxWalSenders} in use`);
  else
    findings.fail(
      'max_wal_senders',
      new CdcError('SOURCE_PRIVILEGE', `${walSenders} of ${maxWalSenders} in use: none is free`, {
        hint: 'Raise max_wal_senders and restart PostgreSQL.',
      }),
    );
}

function diagnoseSettings(facts: ServerFacts, findings: Findings): void {
  if (facts.slotKeepMb < 0)
    findings.warn(
      'max_slot_wal_keep_size',
      '-1: while the service is away, PostgreSQL keeps WAL without limit, until its disk is full',
      'Set it to what the disk can spare; a service that is away for longer then copies the tables afresh.',
    );
  else
    findings.ok(
      'max_slot_wal_keep_size',
      `${facts.slotKeepMb} MB: a service that is away for longer than that copies the tables afresh`,
    );

  if (facts.senderTimeoutMs === 0)
    findings.warn(
      'wal_sender_timeout',
      '0: PostgreSQL does not notice that a service is gone, and its slot stays in use',
      'Set it to its default of 60s.',
    );
  else if (facts.senderTimeoutMs < 5000)
    findings.warn(
      'wal_sender_timeout',
      `${facts.senderTimeoutMs} ms is short: a brief stall breaks the stream`,
      'Set it to its default of 60s.',
    );
  else findings.ok('wal_sender_timeout', `${facts.senderTimeoutMs / 1000} s`);

  const { idleSlotTimeout } = facts;
  if (idleSlotTimeout !== null && !/^0\D*$/.test(idleSlotTimeout))
    findings.warn(
      'idle_replication_slot_timeout',
      `${idleSlotTimeout}: a service that is away for longer loses its slot, and copies the tables afresh`,
      'Set it to 0, or to more than the longest outage.',
    );

  findings.ok(
    'logical_decoding_work_mem',
    `${facts.decodingMemory}: larger transactions are written to the server's disk while they are open`,
  );

  if (facts.synchronousCommit === 'off')
    findings.warn(
      'synchronous_commit',
      `off: commits are streamed up to ${3 * facts.walWriterDelayMs} ms late, when the WAL writer flushes them`,
      'Set it to on, or lower wal_writer_delay, if freshness matters.',
    );
  if (countsAsStandby(facts.synchronousStandbys))
    findings.warn(
      'synchronous_standby_names',
      `"${facts.synchronousStandbys}" makes commits wait for this service, and so for ClickHouse`,
      'Name the standbys that are meant instead of *.',
    );
}

/** A walsender of the service is a synchronous standby too when the list has its application name, or a `*`. */
function countsAsStandby(names: string): boolean {
  return names
    .replace(/^\s*(?:FIRST|ANY)?\s*\d*\s*\(|\)\s*$/gi, '')
    .split(',')
    .some(name => ['*', 'wal-cdc'].includes(name.trim().replaceAll('"', '')));
}
