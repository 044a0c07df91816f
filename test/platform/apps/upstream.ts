import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Manifest } from '../../support/helm-chart.ts';
import { repository } from '../terraform/terraform.ts';

/**
 * Values and definitions of other people's charts, where they lie beside the repository: they are not ours to carry, and their registries
 * cannot be asked by a test. Undefined elsewhere; tests then say what they left out.
 */
export const upstream = ['..', '../..']
  .map(up => join(repository, up, 'shared/k8s/upstream'))
  .find(folder => existsSync(folder));

export const withoutUpstream =
  'not compared: charts and definitions of others do not lie beside the repository';

export function upstreamFile(path: string): Manifest | undefined {
  const file = join(upstream!, path);
  return existsSync(file) ? parse(readFileSync(file, 'utf8')) : undefined;
}

export interface Schema {
  [keyword: string]: unknown;
  $ref?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/** The schema of `path` in it, through references; true where everything is allowed, undefined where nothing is. */
export function schemaOf(
  root: Schema,
  path: (string | number)[],
  schema: Schema = root,
): Schema | true | undefined {
  if (schema.$ref)
    return schemaOf(
      root,
      path,
      schema.$ref
        .replace('#/', '')
        .split('/')
        .reduce<Schema>((at, key) => at[key] as Schema, root),
    );
  const [first, ...rest] = path;
  const branches = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (first === undefined) return schema;
  const own = typeof first === 'number' ? schema.items : schema.properties?.[first];
  if (own) return schemaOf(root, rest, own);
  for (const branch of branches) {
    const found = schemaOf(root, path, branch);
    if (found) return found;
  }
  if (typeof schema.additionalProperties === 'object')
    return schemaOf(root, rest, schema.additionalProperties);
  return schema.additionalProperties === true || schema['x-kubernetes-preserve-unknown-fields'] === true
    ? true
    : undefined;
}

/** Paths of all leaves. */
export function leavesOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return entries.length === 0 ? [path] : entries.flatMap(([key, child]) => leavesOf(child, [...path, key]));
}
