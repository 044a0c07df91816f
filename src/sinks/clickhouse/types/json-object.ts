const token = /[ \t\r\n]*([{}[\],:]|"(?:[^"\\]|\\.)*"|[^ \t\r\n{}[\],:"]+)/y;

/**
 * Why ClickHouse's JSON type refuses a text that PostgreSQL accepts as json, which would fail a whole insert:
 * `undefined` when it takes it. It holds objects only, each path of keys once, integers up to 64 bits and finite floats.
 */
export function jsonObjectMisfit(text: string): string | undefined {
  let at = 0;
  let current = '';
  const next = (): string => {
    token.lastIndex = at;
    current = token.exec(text)?.[1] ?? '';
    at = token.lastIndex;
    return current;
  };

  /** Each reads the value that starts with `current` and returns why it is refused. */
  const value = (path: string, seen: Set<string>): string | undefined => {
    if (current === '{') return object(`${path}.`, seen);
    if (seen.has(path)) return `has "${path}" twice`;
    seen.add(path);
    if (current === '[') return array();
    if (current.startsWith('"')) return isWellFormed(current) ? undefined : 'has half a surrogate pair';
    return /^[-\d]/.test(current) && !isHeldNumber(current) ? `has the number ${current}` : undefined;
  };
  const object = (prefix: string, seen: Set<string>): string | undefined => {
    for (next(); current !== '}' && current !== ''; ) {
      if (current === ',') next();
      if (!isWellFormed(current)) return 'has half a surrogate pair';
      const key = JSON.parse(current) as string;
      next();
      next();
      const misfit = value(prefix + key, seen);
      if (misfit) return misfit;
      next();
    }
    return undefined;
  };
  const array = (): string | undefined => {
    for (next(); current !== ']' && current !== ''; next()) {
      if (current === ',') continue;
      const misfit = value('', new Set());
      if (misfit) return misfit;
    }
    return undefined;
  };

  return next() === '{' ? object('', new Set()) : 'is not an object';
}

function isWellFormed(quoted: string): boolean {
  return !quoted.includes('\\u') || (JSON.parse(quoted) as string).isWellFormed();
}

function isHeldNumber(number: string): boolean {
  if (/[.eE]/.test(number)) return Number.isFinite(Number(number));
  const integer = BigInt(number);
  return integer >= -(2n ** 63n) && integer < 2n ** 64n;
}
