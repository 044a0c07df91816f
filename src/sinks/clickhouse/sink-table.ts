import { RowGroup, type Transactions } from '../../core/batch.ts';
import type { TableState } from '../../core/checkpoint.ts';
import { CdcError } from '../../core/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../core/lsn.ts';
import { type Column, qualifiedName, type Relation, type Table } from '../../core/relation.ts';
import { composeVersion, type VersionScheme } from '../../core/version.ts';
import type { TableName } from './names.ts';
import { type EncoderColumn, RowEncoder } from './row-encoder.ts';
import { requireNoMetaColumn, type TargetOptions, type TargetPlan } from './target.ts';
import type { OnInvalid } from './types/codec.ts';
import { withConnectorModes } from './types/debezium/connector-modes.ts';
import { codecFor, splitNullable } from './types/registry.ts';

/** A table while the service runs: what is saved of it, how its rows are encoded, what was written. */
export class SinkTable {
  table: Table;
  readonly plan: TargetPlan;
  readonly name: string;
  readonly state: TableState;
  /** Types by column name, as ClickHouse has them. */
  types: Map<string, string>;
  readonly #options: TargetOptions;
  readonly #epoch: number;
  readonly #encoders = new WeakMap<Relation, RowEncoder>();
  /** Changes written since the start, and changes left out since the table stopped. */
  rows = 0;
  skipped = 0;
  /**
   * For transactions from here on, what ClickHouse has under a key is what the stream said: rows that come from a copy, a
   * replay or a look-up at the source may be of later, up to where the source was then. Undefined while that is not known.
   */
  settledAt: Lsn | undefined;
  copiedPages = 0;
  totalPages = 0;
  copyStartedAtMs = 0;
  estimatedRows = 0;

  constructor(
    table: Table,
    plan: TargetPlan,
    types: Map<string, string>,
    state: TableState,
    options: TargetOptions,
    epoch: number,
  ) {
    this.table = table;
    this.plan = plan;
    this.types = types;
    this.state = state;
    this.name = qualifiedName(table);
    this.#options = options;
    this.#epoch = epoch;
  }

  /** Goes on with a changed description of the source table and its ClickHouse columns. */
  adopt(table: Table, types: Map<string, string>): void {
    this.table = table;
    this.types = types;
  }

  get keyless(): boolean {
    return this.table.key.length === 0;
  }

  /** What `orderBy` names beside the key: a row stays where it is only as long as these keep their values. */
  get orderedBeyondKey(): string[] {
    return this.keyless ? [] : this.plan.orderBy.filter(name => !this.table.key.includes(name));
  }

  /** Whether an update or delete comes without the values that tell where its old row is. */
  isAppendOnly({ replicaIdentity }: Relation): boolean {
    if (this.keyless) return true;
    // Of messages not even those of REPLICA IDENTITY FULL have them for sure; versions rise in what PostgreSQL itself sends.
    const isWhole = replicaIdentity === 'f' && this.#options.versions.rising;
    return !isWhole && this.orderedBeyondKey.length > 0;
  }

  get shadow(): TableName | undefined {
    const { shadow } = this.state;
    return shadow && { database: this.plan.name.database, table: shadow.table };
  }

  /** Whether a row that cannot be written goes to the dead letters, rather than stop the table. */
  get setsAside(): boolean {
    return this.#options.table(this.table.schema, this.table.name).onError === 'dead-letter';
  }

  /** Rows of lower versions are gone, by a truncate or a copy. Undefined until the base of a copy is known. */
  get oldestVersion(): bigint | undefined {
    const { phase, base } = this.state;
    if (phase === 'copying' && base === undefined) return undefined;
    const copied = base === undefined ? 0n : composeVersion(this.#epoch, parseLsn(base), 0n);
    const emptied = this.truncateVersion() ?? 0n;
    return emptied > copied ? emptied : copied;
  }

  /** What stands for large values that did not change in envelopes. */
  get placeholder(): string {
    return this.#options.connector.placeholder;
  }

  onInvalid(column: string): OnInvalid {
    return this.#options.column(this.table.schema, this.table.name, column).onInvalid;
  }

  /** The encoder for tuples of `relation`. Throws SCHEMA_CHANGED, TYPE_MISMATCH or TABLE_UNSUPPORTED when the target cannot take them. */
  encoder(relation: Relation): RowEncoder {
    let encoder = this.#encoders.get(relation);
    if (!encoder) {
      encoder = this.#buildEncoder(relation);
      this.#encoders.set(relation, encoder);
    }
    return encoder;
  }

  #buildEncoder(relation: Relation): RowEncoder {
    const { key } = this.table;
    // Added meanwhile: ClickHouse has a column of that name.
    requireNoMetaColumn(relation, relation.columns, this.#options.metaColumns);
    const columns = relation.columns.map((announced): EncoderColumn => {
      const column = this.#typed(announced);
      const type = this.types.get(column.name);
      if (type === undefined)
        throw new CdcError(
          'SCHEMA_CHANGED',
          `table ${this.name} has a new column "${column.name}" (${column.type.name}), which ClickHouse does not have`,
          { table: this.name },
        );
      const onInvalid = this.onInvalid(column.name);
      const codec = codecFor(column, type, onInvalid);
      const { nullable } = splitNullable(type);
      return {
        name: column.name,
        codec,
        nullable,
        key: key.includes(column.name),
        nullIfInvalid: onInvalid === 'null' && nullable,
        nullFlag: !codec.canBeNullable && this.types.has(`${column.name}__null`) && this.#options.nullFlag,
      };
    });
    const missing = key.find(name => !columns.some(column => column.name === name));
    if (missing)
      throw new CdcError('SCHEMA_CHANGED', `table ${this.name} lost the column "${missing}" of its key`, {
        table: this.name,
      });
    const { version, deleted, committedAt } = this.#options.metaColumns;
    return new RowEncoder(relation, columns, {
      epoch: this.#epoch,
      versions: this.#options.versions,
      metaColumns: [version, deleted, committedAt],
      key,
      orderedBeyondKey: this.orderedBeyondKey,
      remedy: `"wal-cdc ${this.setsAside ? `dead-letters replay --table ${this.name}` : `resync ${this.name}`}"`,
    });
  }

  /** Envelopes say how a value is written; of what type it is the table knows. */
  #typed(column: Column): Column {
    if (!column.wire) return column;
    const known = this.table.columns.find(({ name }) => name === column.name);
    if (!known) return column;
    // One that is only assumed knows better how a message without schema writes its values.
    const wire = column.wire.type === undefined && known.wire ? known.wire : column.wire;
    return withConnectorModes({ ...known, wire }, this.#options.connector);
  }

  /** First row of the group that the live table takes: those below a truncate that was carried out are gone. */
  firstLiveRow(group: RowGroup, transactions: Transactions): number {
    const { truncated } = this.state;
    if (!truncated || !this.#options.versions.rising) return 0;
    const commitLsn = parseLsn(truncated.commitLsn);
    const changeLsn = parseLsn(truncated.changeLsn);
    return firstRow(group, (transaction, lsnHi, lsnLo) => {
      const commit = transactions.commitLsn(transaction);
      return commit > commitLsn || (commit === commitLsn && joinLsn(lsnHi, lsnLo) >= changeLsn);
    });
  }

  /** Tells rows below a truncate where versions do not rise; `undefined` when there is no such row. */
  truncatedRows(
    group: RowGroup,
    encoder: RowEncoder,
    transactions: Transactions,
  ): ((i: number) => boolean) | undefined {
    if (this.#options.versions.rising) return undefined;
    const version = this.truncateVersion();
    return version === undefined ? undefined : i => encoder.versionOf(group, i, transactions) < version;
  }

  /** Rows of lower versions were truncated. */
  truncateVersion(): bigint | undefined {
    return truncateVersion(this.state, this.#epoch, this.#options.versions);
  }

  /** Whether a later truncate than this one is known: then there is nothing left to remove. */
  isBehindTruncate({ commitLsn, changeLsn }: { commitLsn: Lsn; changeLsn: Lsn }): boolean {
    const truncated = { commitLsn: formatLsn(commitLsn), changeLsn: formatLsn(changeLsn) };
    const state = { truncated, key: this.state.key };
    const version = truncateVersion(state, this.#epoch, this.#options.versions)!;
    return version < (this.truncateVersion() ?? 0n);
  }

  /** First row that the shadow of a keyless table takes: earlier ones are part of the copy. */
  firstRowAfterCopyPoint(group: RowGroup, transactions: Transactions): number {
    if (this.state.base === undefined) return group.count;
    const base = parseLsn(this.state.base);
    return firstRow(group, transaction => transactions.commitLsn(transaction) >= base);
  }
}

/** Rows of lower versions were truncated, as far as is saved. */
export function truncateVersion(
  { truncated, key }: Pick<TableState, 'truncated' | 'key'>,
  epoch: number,
  versions: VersionScheme,
): bigint | undefined {
  if (!truncated) return undefined;
  const commitLsn = parseLsn(truncated.commitLsn);
  const changeLsn = parseLsn(truncated.changeLsn);
  // Without a key a row out of an envelope has its own LSN for the commit position, and then its place in the topic.
  if (!versions.rising && key.length === 0) return composeVersion(epoch, changeLsn + 1n, 0n);
  return composeVersion(epoch, commitLsn, versions.ordinal(commitLsn, changeLsn, 0));
}

function joinLsn(hi: number, lo: number): Lsn {
  return (BigInt(hi) << 32n) | BigInt(lo);
}

/** Rows of a group come in the order of their versions. */
function firstRow(
  group: RowGroup,
  accepts: (transaction: number, lsnHi: number, lsnLo: number) => boolean,
): number {
  const { index, count } = group;
  for (let i = 0; i < count; i++) {
    const at = i * RowGroup.stride;
    if (accepts(index[at + RowGroup.transaction]!, index[at + RowGroup.lsnHi]!, index[at + RowGroup.lsnLo]!))
      return i;
  }
  return count;
}
