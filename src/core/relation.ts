/** A PostgreSQL type as the catalog describes it (`pg_type`). */
export interface PgType {
  oid: number;
  /** `pg_type.typname`, as in `int4`, `timestamptz`, `_text`. */
  name: string;
  /** Schema of the type; `pg_catalog` for built-in ones. */
  schema: string;
  kind: 'base' | 'enum' | 'domain' | 'composite' | 'range' | 'multirange' | 'array' | 'pseudo';
  /** Element type of an array, base type of a domain, subtype of a range or multirange. */
  inner?: PgType;
  /** A domain's typmod for its base type; -1 when there is none. */
  innerTypmod?: number;
}

export interface Column {
  name: string;
  type: PgType;
  /** `atttypmod`; -1 when there is none. */
  typmod: number;
  notNull: boolean;
  /** Of a column whose values come in Debezium envelopes. */
  wire?: Wire;
}

/**
 * How Debezium writes the values of a column: the Kafka Connect schema of the field, or of the elements of an array. Empty
 * when messages carry no schema; then the settings under `kafka.connector` say it.
 */
export interface Wire {
  /** `int16`, `int64`, `double`, `boolean`, `string`, `bytes`, `array`, `map`, `struct` … */
  type?: string;
  /** Semantic type, as in `io.debezium.time.MicroTimestamp`. */
  name?: string;
  /** As in `{ scale: '2', 'connect.decimal.precision': '12' }`. */
  parameters?: Readonly<Record<string, string>>;
  optional?: boolean;
  items?: Wire;
  /** The setting that this comes from, where messages do not say it: for messages about values that contradict it. */
  setting?: string;
}

/** `pg_class.relreplident`: default, nothing, full, index. */
export type ReplicaIdentity = 'd' | 'n' | 'f' | 'i';

/** Column types and names of the tuples that follow, as the source announced them; never changed once made. */
export interface Relation {
  /** OID of the table that is published (the root of a partitioned one under `publish_via_partition_root`). */
  id: number;
  schema: string;
  name: string;
  replicaIdentity: ReplicaIdentity;
  columns: readonly Column[];
  /** Fields of the message key; of envelopes that have one. */
  messageKey?: readonly string[] | undefined;
}

export interface TableColumn extends Column {
  /** `pg_attribute.attnum`: stays when the column is renamed, and is never used again. */
  number: number;
  /** False when PostgreSQL never stores the value out of line, so that an update always carries it. */
  toastable: boolean;
}

/** A table of the source: what is published of it and how its rows are told apart. */
export interface Table {
  id: number;
  schema: string;
  name: string;
  /** Published columns in source order; generated ones are in neither stream nor copy. */
  columns: TableColumn[];
  keyRule: KeyRule;
  /** ORDER BY columns; empty when keyless. */
  key: string[];
}

/**
 * Which rule made the ORDER BY of a table; recorded, so that a change of it is noticed. The last two are for envelopes of
 * tables whose catalog is not at hand: the ClickHouse table that is there, else the message key.
 */
export type KeyRule =
  | 'identity-index'
  | 'primary-key'
  | 'unique-index'
  | 'keyless'
  | 'clickhouse-table'
  | 'message-key';

export function qualifiedName(table: { schema: string; name: string }): string {
  return `${table.schema}.${table.name}`;
}
