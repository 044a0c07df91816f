import type pg from 'pg';
import type { PgType } from '../../core/relation.ts';

interface TypeRow {
  oid: number;
  typname: string;
  nspname: string;
  typtype: string;
  element: number;
  base: number;
  typmod: number;
  subtype: number;
}

const kinds: Record<string, PgType['kind']> = {
  b: 'base',
  e: 'enum',
  d: 'domain',
  c: 'composite',
  r: 'range',
  m: 'multirange',
  p: 'pseudo',
};

/** Types by OID, from `pg_type`, with the types that they are made of; remembers what it has read. */
export class TypeCatalog {
  readonly #types = new Map<number, PgType>();

  known(oid: number): PgType | undefined {
    return this.#types.get(oid);
  }

  /** Reads those of `oids` that are not known yet. */
  async load(client: pg.Client, oids: Iterable<number>): Promise<void> {
    const rows = new Map<number, TypeRow>();
    let wanted = [...new Set(oids)].filter(oid => !this.#types.has(oid));
    while (wanted.length > 0) {
      const result = await client.query<TypeRow>(`
        SELECT t.oid::int8::float8 AS oid, t.typname, n.nspname, t.typtype,
               CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::int8::float8 AS element,
               t.typbasetype::int8::float8 AS base, t.typtypmod AS typmod,
               coalesce((SELECT r.rngsubtype FROM pg_range r
                          WHERE t.oid IN (r.rngtypid, r.rngmultitypid)), 0)::int8::float8 AS subtype
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
         WHERE t.oid IN (${wanted.join(',')})`);
      for (const row of result.rows) rows.set(row.oid, row);
      wanted = result.rows
        .flatMap(row => [row.element, row.base, row.subtype])
        .filter(oid => oid !== 0 && !rows.has(oid) && !this.#types.has(oid));
    }
    for (const row of rows.values()) this.#build(row, rows);
  }

  #build(row: TypeRow, rows: Map<number, TypeRow>): PgType {
    const known = this.#types.get(row.oid);
    if (known) return known;
    const innerOid = row.element || row.base || row.subtype;
    const innerRow = rows.get(innerOid);
    const inner = innerOid
      ? (this.#types.get(innerOid) ?? (innerRow && this.#build(innerRow, rows)))
      : undefined;
    const type: PgType = {
      oid: row.oid,
      name: row.typname,
      schema: row.nspname,
      kind: row.element ? 'array' : (kinds[row.typtype] ?? 'base'),
      ...(inner ? { inner } : {}),
      ...(row.base ? { innerTypmod: row.typmod } : {}),
    };
    this.#types.set(row.oid, type);
    return type;
  }
}
