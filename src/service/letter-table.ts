import type { Config } from '../config.ts';
import { Op } from '../core/batch.ts';
import { ByteWriter } from '../core/byte-writer.ts';
import type { TableState } from '../core/checkpoint.ts';
import { asCdcError, CdcError, isFaultOfRow } from '../core/errors.ts';
import type { Relation } from '../core/relation.ts';
import { composeVersion } from '../core/version.ts';
import { encodeLone, encodeTombstone, type LoneChange } from '../sinks/clickhouse/change-parts.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { type DeadLetter, rowVersion, tuplesOf } from '../sinks/clickhouse/dead-letter.ts';
import { columnType, KeyLookup } from '../sinks/clickhouse/key-lookup.ts';
import { quoteTableName } from '../sinks/clickhouse/names.ts';
import type { RowEncoder, UnchangedValues } from '../sinks/clickhouse/row-encoder.ts';
import { isValidKey, RowSteps } from '../sinks/clickhouse/row-steps.ts';
import { SinkTable } from '../sinks/clickhouse/sink-table.ts';
import { inspectTarget } from '../sinks/clickhouse/target.ts';
import { targetOptions } from './clickhouse-address.ts';

/** `superseded`: ClickHouse has something newer. A failure: why the letter stays open. */
export type Outcome = 'replayed' | 'superseded' | CdcError;

const opOf: Record<DeadLetter['op'], number> = {
  insert: Op.insert,
  copy: Op.insert,
  message: 0,
  update: Op.update,
  delete: Op.delete,
};

/** A table of ClickHouse that letters are written to, by what ClickHouse and the configuration say now: without its source. */
export class LetterTable {
  readonly #table: SinkTable;
  readonly #state: TableState;
  readonly #clickhouse: ClickHouse;
  readonly #versionColumn: string;
  /** By the JSON of their relation. */
  readonly #encoders = new Map<string, RowEncoder>();

  /** Throws LETTER_OUTDATED when there is no such table. */
  static async open(
    clickhouse: ClickHouse,
    config: Config,
    { schema, name, state }: { schema: string; name: string; state: TableState },
  ): Promise<LetterTable> {
    const actual = await inspectTarget(clickhouse, state.target);
    if (!actual)
      throw outdated(
        `${schema}.${name}`,
        `its ClickHouse table ${state.target.database}.${state.target.table} is gone`,
      );
    const table = new SinkTable(
      { id: 0, schema, name, columns: [], keyRule: state.keyRule, key: state.key },
      { name: state.target, columns: [], orderBy: [], partitionBy: undefined, nullFlags: new Map() },
      actual.columns,
      state,
      targetOptions(config),
      state.epoch,
    );
    return new LetterTable(table, state, clickhouse, config.metaColumns.version);
  }

  private constructor(table: SinkTable, state: TableState, clickhouse: ClickHouse, versionColumn: string) {
    this.#table = table;
    this.#state = state;
    this.#clickhouse = clickhouse;
    this.#versionColumn = versionColumn;
  }

  /**
   * Writes the rows of letters, each at its own version; resolves when they are durable. `onlyNewer`: no rows, but what
   * is newer is told.
   */
  async write(
    letters: readonly DeadLetter[],
    { onlyNewer = false }: { onlyNewer?: boolean } = {},
  ): Promise<Map<DeadLetter, Outcome>> {
    const outcomes = new Map<DeadLetter, Outcome>();
    for (const [relation, same] of Map.groupBy(letters, letter => letter.relation)) {
      try {
        await this.#writeSame(this.#encoder(relation), same, onlyNewer, outcomes);
      } catch (error) {
        const failure = asCdcError(error);
        if (failure.action !== 'stop-table') throw failure;
        for (const letter of same) outcomes.set(letter, failure);
      }
    }
    return outcomes;
  }

  #encoder(relation: string): RowEncoder {
    let encoder = this.#encoders.get(relation);
    if (!encoder) {
      encoder = this.#table.encoder(JSON.parse(relation) as Relation);
      this.#encoders.set(relation, encoder);
    }
    return encoder;
  }

  async #writeSame(
    encoder: RowEncoder,
    letters: readonly DeadLetter[],
    onlyNewer: boolean,
    outcomes: Map<DeadLetter, Outcome>,
  ): Promise<void> {
    const newer = await this.#newer(encoder, letters);
    const body = new ByteWriter(1 << 16);
    for (const letter of letters) {
      const start = body.pos;
      if (this.#isGone(letter)) outcomes.set(letter, 'superseded');
      else if (newer.has(letter) || !onlyNewer) {
        try {
          // The old key of an update is gone all the same.
          if (newer.has(letter)) encodeTombstone(encoder, changeOf(letter), body);
          else encodeLone(encoder, changeOf(letter), body, keptReader(encoder, letter));
          outcomes.set(letter, newer.has(letter) ? 'superseded' : 'replayed');
        } catch (error) {
          body.pos = start;
          if (!isFaultOfLetter(error)) throw error;
          outcomes.set(letter, error as CdcError);
        }
      }
    }
    if (body.pos === 0) return;
    await this.#clickhouse.insert(
      `INSERT INTO ${quoteTableName(this.#state.target)} (${encoder.insertColumns}) FORMAT RowBinary`,
      body.written(),
    );
  }

  /** Whether a truncate or a copy has taken its place, or it is of a life of the pipeline before this one. */
  #isGone({ version }: DeadLetter): boolean {
    return (
      version < (this.#table.oldestVersion ?? 0n) || version >= composeVersion(this.#state.epoch + 1, 0n, 0n)
    );
  }

  /** Letters whose row ClickHouse has newer, or deleted since. */
  async #newer(encoder: RowEncoder, letters: readonly DeadLetter[]): Promise<Set<DeadLetter>> {
    if (this.#table.keyless) return new Set();
    const steps = new RowSteps(encoder);
    const keys = new Map(
      letters.map(letter => [
        letter,
        steps.keyOf(letter.change, ...tuplesOf(letter.change, 0, opOf[letter.op])),
      ]),
    );
    const lookup = new KeyLookup(encoder, this.#clickhouse, this.#versionColumn);
    const newest = await lookup.newestVersions(
      [...new Set(keys.values())].filter(isValidKey),
      this.#state.target,
    );
    return new Set(letters.filter(letter => (newest.get(keys.get(letter)!) ?? 0n) > rowVersion(letter)));
  }
}

function isFaultOfLetter(error: unknown): boolean {
  return isFaultOfRow(error) || (error instanceof CdcError && error.code === 'LETTER_OUTDATED');
}

function changeOf({ change, op, version, committedAtUs }: DeadLetter): LoneChange {
  return { data: change, offset: 0, op: opOf[op], version, committedAtUs };
}

/** Supplies what the change leaves out. */
function keptReader(encoder: RowEncoder, { kept, schema, table }: DeadLetter): UnchangedValues {
  return (c, out) => {
    const column = encoder.columns[c]!;
    const found = kept.find(value => value.column === column.name);
    if (!found)
      throw outdated(
        `${schema}.${table}`,
        `the value of column "${column.name}", which the update left out, is not known`,
      );
    if (found.type !== columnType(column))
      throw outdated(
        `${schema}.${table}`,
        `column "${column.name}" is ${columnType(column)} now, and its value, which the update left out, was kept as ${found.type}`,
      );
    out.writeBytes(found.value, 0, found.value.length);
    return true;
  };
}

export function outdated(table: string, reason: string): CdcError {
  return new CdcError('LETTER_OUTDATED', `table ${table}: ${reason}`, { table });
}
