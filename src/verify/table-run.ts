import { CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import { composeVersion } from '../core/version.ts';
import { quoteIdentifier } from '../sinks/clickhouse/names.ts';
import { queryError } from '../sources/wal/connect.ts';
import { ClickHouseRows } from './clickhouse-rows.ts';
import { type ComparedTable, comparedTable, type VerifyTable } from './compared-table.ts';
import { letterKeys } from './letter-keys.ts';
import { mergeRows } from './merge.ts';
import { PostgresRows } from './postgres-rows.ts';
import type { SourceSnapshot } from './source-snapshot.ts';
import { lockedStorage, type Storage } from './storage.ts';
import { TableComparison } from './table-comparison.ts';
import {
  buildClickHouseRowsSql,
  buildPostgresRowsSql,
  buildTombstonesSql,
  type KeyTexts,
} from './table-sql.ts';
import type { VerifyOptions, VerifyTableResult } from './verify-tables.ts';

/** Keys in one look-up: their texts stand in the statement. */
const keysPerQuery = 1000;
const progressEveryMs = 1000;

/** One table through all rounds. */
export class TableRun {
  readonly table: VerifyTable;
  readonly #options: VerifyOptions;
  readonly #compared: ComparedTable | undefined;
  readonly #comparison: TableComparison | undefined;
  /** Those of the next round; undefined before all rows were compared. */
  #keys: readonly KeyTexts[] | undefined;
  #error: CdcError | undefined;
  #rounds = 0;
  #seconds = 0;

  constructor(table: VerifyTable, options: VerifyOptions) {
    this.table = table;
    this.#options = options;
    try {
      this.#compared = comparedTable(table);
      const { maxDiffering = 100, maxMoving = 100_000 } = options;
      this.#comparison = new TableComparison(this.#compared, { maxDiffering, maxMoving });
    } catch (error) {
      this.#fail(error);
    }
  }

  get isOpen(): boolean {
    return !this.#error && this.#keys?.length !== 0;
  }

  result(): VerifyTableResult {
    const { schema, name, target } = this.table;
    const found = this.#comparison;
    const error = this.#error;
    const forgotten = found?.movingForgotten ?? 0;
    return {
      schema,
      name,
      target,
      rows: found?.rows ?? 0,
      equal: found?.equal ?? 0,
      differingCount: found?.differingCount ?? 0,
      differing: (found?.differing ?? []).toSorted((a, b) => Number(!!a.letter) - Number(!!b.letter)),
      inDeadLetters: found?.inDeadLetters ?? 0,
      moving: (this.#keys?.length ?? 0) + forgotten,
      movingForgotten: forgotten,
      rounds: this.#rounds,
      seconds: this.#seconds,
      ...(error ? { error: { code: error.code, message: error.message, hint: error.hint } } : {}),
    };
  }

  /** `before`: what the table's rows were stored in before the snapshot was taken. */
  async round(round: number, snapshot: SourceSnapshot, before: Storage | undefined): Promise<void> {
    const started = performance.now();
    this.#rounds = round;
    try {
      await this.#compareAll(round, snapshot, before);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      this.#fail(error);
    } finally {
      this.#seconds += (performance.now() - started) / 1000;
    }
  }

  async #compareAll(round: number, snapshot: SourceSnapshot, before: Storage | undefined): Promise<void> {
    const { maxRounds = 5 } = this.#options;
    const comparison = this.#comparison!;
    comparison.isLastRound = round >= maxRounds;
    const client = await snapshot.open();
    try {
      const storage = await lockedStorage(client, this.table);
      // TRUNCATE and rewrites do not respect snapshots: this one may see the table without its rows.
      if (before?.files !== storage.files) {
        if (round < maxRounds) return;
        throw new CdcError(
          'SCHEMA_CHANGED',
          `${qualifiedName(this.table)} was truncated or rewritten in each of ${round} rounds`,
          { hint: 'Verify it when it is left alone for a moment.' },
        );
      }
      const letters = (await this.#options.openLetters?.(this.table)) ?? [];
      comparison.letters = await letterKeys(client, this.#compared!, letters);
      if (!this.#keys) await this.#compare(round, client, storage, snapshot, undefined);
      else
        for (let at = 0; at < this.#keys.length; at += keysPerQuery)
          await this.#compare(round, client, storage, snapshot, this.#keys.slice(at, at + keysPerQuery));
      this.#keys = comparison.moving;
      comparison.moving = [];
    } finally {
      await client.end();
    }
  }

  async #compare(
    round: number,
    client: Parameters<typeof lockedStorage>[0],
    { partitioned }: Storage,
    snapshot: SourceSnapshot,
    keys: readonly KeyTexts[] | undefined,
  ): Promise<void> {
    const { signal, clickhouse, onProgress, newerBy = 'version' } = this.#options;
    const table = this.#compared!;
    const fields = table.columns.length;
    const newer = this.#newerCondition(snapshot);
    const postgres = new PostgresRows(
      client,
      buildPostgresRowsSql(table, { partitioned, keys }),
      fields,
      signal,
    );
    const tombstones = table.keyless
      ? undefined
      : new ClickHouseRows(
          clickhouse,
          table.key.length,
          position =>
            buildTombstonesSql(table, { newer, keys, from: position?.last as KeyTexts | undefined }),
          { signal },
        );
    const clickHouse = new ClickHouseRows(
      clickhouse,
      fields + 1,
      position => {
        const withoutNewer = table.keyless && newerBy === 'version';
        // Rows of one key more may have come before those that were read.
        if (position && table.keyless && !withoutNewer)
          throw new CdcError(
            'SINK_UNREACHABLE',
            'the connection broke, and a table without a key cannot be continued',
          );
        return buildClickHouseRowsSql(table, { newer, withoutNewer, keys, position });
      },
      // What the new query no longer sees may have been deleted since the tombstones were read.
      { signal, onContinue: () => tombstones?.discard() },
    );
    this.#comparison!.attach(postgres, clickHouse);
    const progress = () =>
      onProgress?.({ round, step: 'comparing', table: qualifiedName(this.table), rows: postgres.rows });
    progress();
    const timer = setInterval(progress, progressEveryMs);
    try {
      // PostgreSQL first: a result of ClickHouse must not wait for a sort.
      await postgres.start();
      await clickHouse.open();
      await mergeRows(table, postgres, clickHouse, tombstones, this.#comparison!);
    } finally {
      clearInterval(timer);
      await Promise.all([postgres.close(), clickHouse.close(), tombstones?.close()]);
    }
  }

  /** Of ClickHouse: the row was committed later than what the snapshot holds, or may have been. */
  #newerCondition({ position, takenAtMicros }: SourceSnapshot): string {
    const { version, committedAt } = this.table.metaColumns;
    if (this.#options.newerBy !== 'commit-time')
      return `t.${quoteIdentifier(version)} >= toUInt128('${composeVersion(this.#options.epoch, position, 0n)}')`;
    // Debezium's times have milliseconds.
    const micros = takenAtMicros - (takenAtMicros % 1000n);
    return `t.${quoteIdentifier(committedAt)} >= fromUnixTimestamp64Micro(${micros}, 'UTC')`;
  }

  /** Keeps what concerns this table, throws what concerns a server. */
  #fail(error: unknown): void {
    const failure = tableError(error, qualifiedName(this.table));
    if (/^(SOURCE_(UNREACHABLE|AUTH|TLS)|SINK_(UNREACHABLE|AUTH))$/.test(failure.code)) throw failure;
    this.#error = failure;
  }
}

function tableError(error: unknown, table: string): CdcError {
  if (error instanceof CdcError) return error;
  const { code = '' } = error as { code?: string };
  const message = `${table}: ${error instanceof Error ? error.message : String(error)}`;
  if (code === '42501') return new CdcError('TABLE_UNREADABLE', message, { cause: error, table });
  // No such table, column, function or type any more.
  if (/^42(P01|703|883|704)$/.test(code))
    return new CdcError('SCHEMA_CHANGED', message, { cause: error, table });
  // A fault of this program has no SQLSTATE, and no code of a socket either.
  if (code === '') return new CdcError('UNEXPECTED', message, { cause: error, table });
  return queryError(error, `reading ${table}`);
}
