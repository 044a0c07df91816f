import { CdcError } from '../core/errors.ts';
import { type Column, type PgType, qualifiedName } from '../core/relation.ts';
import type { OnInvalid } from '../sinks/clickhouse/types/codec.ts';
import { canonicalForm } from './canonical.ts';
import type { Form } from './form.ts';
import { boolForm } from './scalar-forms.ts';

/** A table of the source and the one in ClickHouse that should equal it. */
export interface VerifyTable {
  schema: string;
  name: string;
  /** What is replicated, in any order. */
  columns: readonly Column[];
  /** The ORDER BY columns; empty when the table is keyless. */
  key: readonly string[];
  target: { database: string; table: string };
  /** Columns of the ClickHouse table by name, as `system.columns.type` says; `<array>__null` where it is maintained. */
  clickHouseTypes: Readonly<Record<string, string>>;
  /** The publication's, an SQL expression. */
  rowFilter?: string | undefined;
  metaColumns: { version: string; deleted: string; committedAt: string };
  /** By column; `fail` for those that are not named. */
  onInvalid?: Readonly<Record<string, OnInvalid>> | undefined;
}

/** One of the values that are compared in each row. */
export interface ComparedColumn {
  name: string;
  /** Of the value in PostgreSQL. */
  type: PgType;
  isNullFlag: boolean;
  form: Form;
}

/** What is compared of a table, and in which order its rows come. */
export interface ComparedTable {
  source: VerifyTable;
  columns: readonly ComparedColumn[];
  /** Places of the key in `columns`, in key order; all of them when the table is keyless. */
  key: readonly number[];
  keyless: boolean;
}

export function comparedTable(table: VerifyTable): ComparedTable {
  const columns = table.columns.flatMap((column): ComparedColumn[] => {
    const type = table.clickHouseTypes[column.name];
    if (type === undefined)
      throw new CdcError(
        'TABLE_MISMATCH',
        `the ClickHouse table ${table.target.database}.${table.target.table} has no column "${column.name}"`,
        { table: qualifiedName(table) },
      );
    const value: ComparedColumn = {
      name: column.name,
      type: column.type,
      isNullFlag: false,
      form: canonicalForm(column, type, table.onInvalid?.[column.name]),
    };
    const flag = `${column.name}__null`;
    const isFlagged =
      flag in table.clickHouseTypes &&
      /^(Array|Map)\(/.test(type) &&
      !table.columns.some(({ name }) => name === flag);
    return isFlagged ? [value, { name: flag, type: column.type, isNullFlag: true, form: boolForm }] : [value];
  });
  const keyless = table.key.length === 0;
  const key = keyless
    ? columns.map((_, place) => place)
    : table.key.map(name => columns.findIndex(column => column.name === name));
  if (key.includes(-1))
    throw new CdcError(
      'TABLE_MISMATCH',
      `the key of ${qualifiedName(table)} (${table.key.join(', ')}) is not part of what is replicated`,
      { table: qualifiedName(table) },
    );
  return { source: table, columns, key, keyless };
}

/** Whether the columns order rows as numbers; the others by the bytes of their texts. */
export function ordersAsNumber(column: ComparedColumn): boolean {
  return column.form.order?.numeric ?? false;
}
