import { readFileSync } from 'node:fs';
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml';
import { nearest } from './nearest.ts';
import { leaves, variableOf } from './setting-tree.ts';

export interface SettingInput {
  /** Path of the YAML file. */
  file?: string | undefined;
  /** Environment; only `WAL_CDC_…` is looked at. */
  env?: Record<string, string | undefined>;
  /** Values of flags by setting, as in `{ 'postgres.url': '…', tables: ['a.*', 'b.*'] }`. */
  flags?: Record<string, string | string[] | undefined>;
}

export interface GatheredSettings {
  /** Nested as in the file, not yet checked. */
  values: Record<string, unknown>;
  /** Where the value at a path came from, for messages: `--listen`, `WAL_CDC_LISTEN`, `wal-cdc.yaml:7: listen`. */
  describe(path: readonly PropertyKey[]): string;
  /** `wal-cdc.yaml:7: ` for a key in the file, otherwise empty. */
  place(path: readonly PropertyKey[]): string;
  problems: string[];
}

/** Reads the file, then lays environment variables and flags over it. */
export function gatherSettings(input: SettingInput): GatheredSettings {
  const problems: string[] = [];
  const file = input.file === undefined ? undefined : readYaml(input.file, problems);
  const values = file?.values ?? {};
  const origins = new Map<string, string>();
  const set = (path: string, value: unknown, origin: string) => {
    origins.set(path, origin);
    setAt(values, path.split('.'), value);
  };
  readVariables(input.env ?? {}, set, problems);
  for (const [path, value] of Object.entries(input.flags ?? {})) {
    const leaf = leaves.find(each => each.path === path);
    if (!leaf) throw new Error(`no setting ${path}`);
    if (value !== undefined)
      set(path, Array.isArray(value) ? value.join(',') : value, leaf.info.flag ?? path);
  }
  const place = (path: readonly PropertyKey[]) => file?.place(path) ?? '';
  return {
    values,
    problems,
    place,
    describe: path => origins.get(path.join('.')) ?? `${place(path)}${path.join('.')}`,
  };
}

function readYaml(path: string, problems: string[]) {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`cannot read the configuration file ${path}: ${reasonOf(error)}`);
    return undefined;
  }
  const lines = new LineCounter();
  // Messages with an excerpt of the file could show a password.
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  for (const { pos, message } of [...doc.errors, ...doc.warnings])
    problems.push(`${path}:${lines.linePos(pos[0]).line}: not valid YAML: ${message.split(/[:\n]/)[0]}`);
  let values: unknown = {};
  try {
    if (problems.length === 0) values = doc.toJS() ?? {};
  } catch {
    problems.push(`${path}: not valid YAML: patterns that begin with "*" must be in quotes, as in "*.*"`);
  }
  if (typeof values !== 'object' || Array.isArray(values)) {
    problems.push(`${path}: not a map of settings`);
    values = {};
  }
  return {
    values: values as Record<string, unknown>,
    place: (keys: readonly PropertyKey[]) => {
      const offset = offsetOf(doc, keys);
      return offset === undefined ? '' : `${path}:${lines.linePos(offset).line}: `;
    },
  };
}

/** Where the key at a path (or the item of a list) begins. */
function offsetOf(doc: Document, path: readonly PropertyKey[]): number | undefined {
  if (path.length === 0) return undefined;
  const parent = path.length === 1 ? doc.contents : doc.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const key = parent.items.find(
      item => String(isNode(item.key) ? item.key.toJSON() : item.key) === last,
    )?.key;
    return isNode(key) ? key.range?.[0] : undefined;
  }
  const item = doc.getIn(path, true);
  return isNode(item) ? item.range?.[0] : undefined;
}

const prefix = 'WAL_CDC_';
/** Not settings: of the tests and benchmarks. */
const otherVariable = /^WAL_CDC_(CONFIG|SLOW|SEED|CRASH_AT|RANDOM_VALUES|TEST_[A-Z_]+)$/;
/** Kubernetes adds these for a service named wal-cdc or wal-cdc-…. */
const serviceLink =
  /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

function readVariables(
  env: Record<string, string | undefined>,
  set: (path: string, value: string, origin: string) => void,
  problems: string[],
): void {
  // Underscores within a name may be left out: WAL_CDC_BATCH_MAXDELAYMS is WAL_CDC_BATCH_MAX_DELAY_MS.
  const known = new Map(
    leaves
      .filter(({ path }) => !path.includes('*'))
      .map(({ path }) => [flat(variableOf(path)), path] as const),
  );
  const givenBy = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined || otherVariable.test(name)) continue;
    if (serviceLink.test(name) || (/_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value))) continue;
    const fromFile = !known.has(flat(name)) && name.endsWith('_FILE');
    const path = known.get(flat(fromFile ? name.slice(0, -'_FILE'.length) : name));
    if (path === undefined) {
      const variables = ['WAL_CDC_CONFIG', ...[...known.values()].map(variableOf)];
      problems.push(
        `unknown environment variable ${name}; the nearest is ${nearest(name.replace(/_FILE$/, ''), variables)}`,
      );
    } else if (givenBy.has(path)) {
      problems.push(`${givenBy.get(path)} and ${name} are the same setting; give one of them`);
    } else if (value.trim() === '') {
      problems.push(`${name} is empty; give it a value or leave it out`);
    } else {
      givenBy.set(path, name);
      const text = fromFile ? readSecret(name, value, problems) : value;
      if (text !== undefined) set(path, text, name);
    }
  }
}

function readSecret(name: string, path: string, problems: string[]): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    if (text.trim() !== '') return text;
    problems.push(`${name}: the file ${path} is empty`);
  } catch (error) {
    problems.push(`${name}: cannot read ${path}: ${reasonOf(error)}`);
  }
  return undefined;
}

function flat(name: string): string {
  return name.replaceAll('_', '');
}

export function reasonOf(error: unknown): string {
  const { code } = error as { code?: string };
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  return code ?? 'it cannot be read';
}

/** A parent that is not a map stays as it is: the schema reports it. */
function setAt(root: Record<string, unknown>, path: string[], value: unknown): void {
  let at = root;
  for (const key of path.slice(0, -1)) {
    at[key] ??= {};
    if (typeof at[key] !== 'object') return;
    at = at[key] as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
}
