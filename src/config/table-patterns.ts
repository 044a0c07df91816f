/**
 * Patterns of PostgreSQL tables: `schema.table`, where each part is a name in which `*` stands for any characters, or
 * a name in double quotes that is taken literally (`"We ird"."a.b"`, `""` for a quote). Names are compared as they
 * are, without folding to lower case. System schemas never match.
 */
export interface TablePattern {
  text: string;
  schema: RegExp;
  name: RegExp;
}

export interface TableName {
  schema: string;
  name: string;
}

/** Throws `SyntaxError` when `text` is not `schema.table`. */
export function parsePattern(text: string): TablePattern {
  const parts = splitName(text);
  if (parts.length !== 2)
    throw new SyntaxError(
      `not a table pattern: ${JSON.stringify(text)} (expected schema.table, as in public.*)`,
    );
  return { text, schema: partRegExp(parts[0]!), name: partRegExp(parts[1]!) };
}

/** Whether a table is among `patterns` and not among `exclude`. */
export function matchesPattern(
  patterns: readonly string[],
  exclude: readonly string[],
  schema: string,
  name: string,
): boolean {
  if (isSystemSchema(schema)) return false;
  const matches = (pattern: string) => matchesParsed(cached(pattern), { schema, name });
  return patterns.some(matches) && !exclude.some(matches);
}

/** The patterns that match none of `tables`: most likely misspelt. */
export function unmatchedPatterns(patterns: readonly string[], tables: readonly TableName[]): string[] {
  return patterns.filter(text => {
    const pattern = cached(text);
    return !tables.some(table => !isSystemSchema(table.schema) && matchesParsed(pattern, table));
  });
}

export function isSystemSchema(schema: string): boolean {
  return schema.startsWith('pg_') || schema === 'information_schema';
}

/**
 * Parts of a dotted name such as `public.orders` or `"We ird"."a.b".total`, with quotes removed.
 * Throws `SyntaxError` when it has another number of parts or is not well formed.
 */
export function parseDottedName(text: string, parts: number): string[] {
  const split = splitName(text);
  if (split.length !== parts || split.some(part => part.value === ''))
    throw new SyntaxError(`not a name of ${parts} parts: ${JSON.stringify(text)}`);
  return split.map(part => part.value);
}

interface NamePart {
  value: string;
  quoted: boolean;
}

function splitName(text: string): NamePart[] {
  const parts: NamePart[] = [];
  const part = /("(?:[^"]|"")+"|[^".\s][^".]*)(\.|$)/y;
  while (part.lastIndex < text.length || text.endsWith('.')) {
    const match = part.exec(text);
    if (!match) throw new SyntaxError(`not a name: ${JSON.stringify(text)} (quote parts with "…")`);
    const quoted = match[1]!.startsWith('"');
    parts.push({ quoted, value: quoted ? match[1]!.slice(1, -1).replaceAll('""', '"') : match[1]! });
    if (match[2] === '') break;
  }
  return parts;
}

function partRegExp({ value, quoted }: NamePart): RegExp {
  const source = quoted ? escapeRegExp(value) : value.split('*').map(escapeRegExp).join('.*');
  return new RegExp(`^${source}$`, 'su');
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function matchesParsed(pattern: TablePattern, table: TableName): boolean {
  return pattern.schema.test(table.schema) && pattern.name.test(table.name);
}

const cache = new Map<string, TablePattern>();

function cached(text: string): TablePattern {
  let pattern = cache.get(text);
  if (!pattern) cache.set(text, (pattern = parsePattern(text)));
  return pattern;
}
