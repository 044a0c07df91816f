/** One of what a table is ordered by. */
export interface SortingElement {
  /** As ClickHouse writes it. */
  sql: string;
  /** Its name, where it is a column as it is; of an expression undefined. */
  column: string | undefined;
}

// A string, an identifier in backquotes, a parenthesis, a comma, or what stands between them.
const token = /'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|[([{]|[)\]}]|,|[^'`()[\]{},]+/gs;
const identifier = /^(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`)(?:\.(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`))*$/s;
const escapes: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', 0: '\0' };

/** `sorting_key` of `system.tables`, as in `` id, lower(code), `a b` ``. */
export function parseSortingKey(text: string): SortingElement[] {
  const elements: string[] = [];
  let element = '';
  let depth = 0;
  for (const [part] of text.matchAll(token)) {
    if ('([{'.includes(part)) depth++;
    else if (')]}'.includes(part)) depth--;
    if (part === ',' && depth === 0) {
      elements.push(element);
      element = '';
    } else element += part;
  }
  elements.push(element);
  return elements
    .map(sql => sql.trim())
    .filter(sql => sql !== '')
    .map(sql => ({ sql, column: columnName(sql.replace(/ (?:ASC|DESC)$/, '')) }));
}

function columnName(sql: string): string | undefined {
  // ORDER BY (id) is kept as it was written.
  const inner = /^\((.*)\)$/s.exec(sql)?.[1];
  if (inner !== undefined) return columnName(inner);
  if (!identifier.test(sql)) return undefined;
  return sql.replaceAll(/`((?:[^`\\]|\\.)*)`/gs, (_, quoted: string) =>
    quoted.replaceAll(/\\(.)/gs, (_escape, char: string) => escapes[char] ?? char),
  );
}
