/** A ClickHouse type taken apart, without `Nullable` and `LowCardinality`: `Decimal(12, 2)` is `Decimal`, `['12', '2']`. */
export interface ClickHouseType {
  name: string;
  args: readonly string[];
}

const decimalPrecision: Record<string, string> = {
  Decimal32: '9',
  Decimal64: '18',
  Decimal128: '38',
  Decimal256: '76',
};

/** Parses what `system.columns.type` says. */
export function parseClickHouseType(text: string): ClickHouseType {
  const [, name = text.trim(), inside] = /^\s*(\w+)\s*(?:\((.*)\))?\s*$/s.exec(text) ?? [];
  if ((name === 'Nullable' || name === 'LowCardinality') && inside) return parseClickHouseType(inside);
  const args = inside === undefined ? [] : splitArguments(inside);
  const precision = decimalPrecision[name];
  if (precision) return { name: 'Decimal', args: [precision, args[0] ?? '0'] };
  if (name === 'Decimal' && args.length === 1) return { name, args: [args[0]!, '0'] };
  return { name, args };
}

/** At the commas outside of parentheses and quotes. */
function splitArguments(text: string): string[] {
  const parts = text.match(/'(?:[^'\\]|\\.|'')*'|[(),]|[^'(),]+/g) ?? [];
  const args: string[] = [''];
  let depth = 0;
  for (const part of parts) {
    if (part === ',' && depth === 0) args.push('');
    else {
      if (part === '(') depth++;
      if (part === ')') depth--;
      args[args.length - 1] += part;
    }
  }
  return args.map(arg => arg.trim());
}
