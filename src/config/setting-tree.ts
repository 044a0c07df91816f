import type { z } from 'zod';
import { nearest } from './nearest.ts';
import { schema } from './schema.ts';
import { type SettingInfo, settingInfos } from './value-types.ts';

/** One setting of the schema. Below a map such as `columns` the path has `*` for the name. */
export interface SettingLeaf {
  path: string;
  info: SettingInfo;
  type: z.ZodType;
}

interface AnyDef {
  type: string;
  in?: z.ZodType;
  out?: z.ZodType;
  innerType?: z.ZodType;
  valueType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
}

/** The object, record or plain type below `preprocess`, `default` and `optional`. */
function unwrap(type: z.ZodType): AnyDef {
  const def = type._zod.def as unknown as AnyDef;
  const inner =
    def.innerType ??
    (def.type === 'pipe' ? (def.in!._zod.def.type === 'transform' ? def.out : def.in) : undefined);
  return inner ? unwrap(inner) : def;
}

/** Settings in the order of the schema. A map is a leaf, and its options are leaves below it. */
export const leaves: readonly SettingLeaf[] = [...walk(schema, '')];

function* walk(type: z.ZodType, path: string): Generator<SettingLeaf> {
  const info = settingInfos.get(type);
  if (info) yield { path, info, type };
  const def = unwrap(type);
  const below = (key: string) => (path === '' ? key : `${path}.${key}`);
  if (def.type === 'record') yield* walk(def.valueType!, below('*'));
  for (const [key, child] of Object.entries(def.shape ?? {})) yield* walk(child, below(key));
}

export function isList(leaf: SettingLeaf): boolean {
  return unwrap(leaf.type).type === 'array';
}

/** The default as one would write it, or in words; empty when there is none. */
export function defaultText({ info, type }: SettingLeaf): string {
  if (info.fallback) return info.fallback;
  const { data } = type.safeParse(undefined);
  if (data === undefined) return '';
  const text = Array.isArray(data) ? data.join(', ') : typeof data === 'object' ? '' : String(data);
  return text === '' ? '' : `\`${text}\``;
}

/** The schema's setting for a path of a value, list indices and names in maps included; undefined for a section. */
export function leafAt(path: readonly PropertyKey[]): { leaf: SettingLeaf; depth: number } | undefined {
  const names = path.map(String);
  for (let depth = names.length; depth > 0; depth--) {
    const given = names.slice(0, depth);
    const leaf = leaves.find(({ path: known }) => matches(known.split('.'), given));
    if (leaf) return { leaf, depth };
  }
  return undefined;
}

function matches(known: string[], given: string[]): boolean {
  return known.length === given.length && known.every((part, i) => part === '*' || part === given[i]);
}

/** The path of the known setting or section that an unknown `key` of the section at `path` most likely means. */
export function nearestSetting(path: readonly PropertyKey[], key: string): string {
  const prefix = path.map(String);
  const siblings = new Set<string>();
  for (const { path: known } of leaves) {
    const parts = known.split('.');
    if (parts.length > prefix.length && matches(parts.slice(0, prefix.length), prefix))
      siblings.add(parts[prefix.length]!);
  }
  siblings.delete('*');
  const elsewhere = leaves.find(leaf => !leaf.path.includes('*') && leaf.path.split('.').at(-1) === key);
  if (elsewhere && !siblings.has(key)) return elsewhere.path;
  return [...prefix, nearest(key, [...siblings])].join('.');
}

/** `postgres.ssl.rootCert` → `WAL_CDC_POSTGRES_SSL_ROOT_CERT`. */
export function variableOf(path: string): string {
  return `WAL_CDC_${path
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
