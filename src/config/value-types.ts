import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { parsePattern } from './table-patterns.ts';

/**
 * What a setting is, beside its type: for error messages, flags and documentation.
 * `expects` completes "… is not valid: expected …".
 */
export interface SettingInfo {
  about: string;
  expects: string;
  flag?: string;
  secret?: boolean;
  /** The default in words, where it is not a plain value. */
  fallback?: string;
}

export const settingInfos = z.registry<SettingInfo>();

/** Attaches what is known about a setting to its type. Must come last: every zod method makes a new type. */
export function setting<T extends z.ZodType>(type: T, info: SettingInfo): T {
  settingInfos.add(type, info);
  return type;
}

/** A section of settings; a section whose settings are all left out may be empty in YAML. */
export function section<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.preprocess(value => value ?? {}, z.strictObject(shape));
}

/** Environment variables and flags are text; so may be numbers and booleans in YAML. */
export function integer(min: number, max: number) {
  return z.preprocess(
    value => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
    z.number().int().min(min).max(max),
  );
}

/** A share, as in 0.05. */
export function share(max: number) {
  return z.preprocess(
    value => (typeof value === 'string' && /^\d*\.?\d+$/.test(value) ? Number(value) : value),
    z.number().min(0).max(max),
  );
}

export const boolean = () =>
  z.preprocess(value => (value === 'true' ? true : value === 'false' ? false : value), z.boolean());

export const text = () => z.string().trim().min(1);

const unitBytes: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes: a number, or text such as `32MiB` or `1.5 GB`. */
export function size(minBytes: number, maxBytes: number) {
  return z.preprocess(value => {
    const match = typeof value === 'string' && /^(\d+(?:\.\d+)?)\s*([KMG]?i?B)?$/i.exec(value.trim());
    return match ? Math.round(Number(match[1]) * unitBytes[(match[2] ?? 'B').toUpperCase()]!) : value;
  }, z.number().int().min(minBytes).max(maxBytes));
}

/** A list; as text its items are separated by commas (outside double quotes), or it is a YAML list. */
export function list<T extends z.ZodType>(item: T) {
  return z.preprocess(value => {
    if (typeof value !== 'string') return value;
    if (value.trim().startsWith('[')) return parseYamlOr(value);
    return (value.match(/(?:"[^"]*"|[^,"])+/g) ?? []).map(part => part.trim());
  }, z.array(item));
}

/** A map from names to sections; as text it is YAML or JSON. */
export function map<T extends z.ZodType>(key: z.ZodType<string, string>, value: T) {
  return z.preprocess(
    given => (typeof given === 'string' ? parseYamlOr(given) : (given ?? {})),
    z.record(key, value),
  );
}

function parseYamlOr(value: string): unknown {
  try {
    return parseYaml(value);
  } catch {
    return value;
  }
}

export const tablePattern = z.string().refine(value => !throws(() => parsePattern(value)));

export function throws(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}
