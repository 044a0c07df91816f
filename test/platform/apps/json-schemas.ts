import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Manifest } from '../../support/helm-chart.ts';

/** As kubeconform takes it, for the files that {@link writeSchemas} writes. */
export const schemaLocation = (folder: string) =>
  join(folder, '{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json');

interface Sources {
  /** OpenAPI documents of Kubernetes, version 3. */
  openApi: string;
  /** Files of CustomResourceDefinitions. */
  definitions: string[];
}

/** Strict JSON schemas: as the API server validates, and a field that no one knows is an error. Returns the kinds. */
export function writeSchemas(folder: string, { openApi, definitions }: Sources): string[] {
  const kinds: string[] = [];
  mkdirSync(folder, { recursive: true });
  const write = (group: string, version: string, kind: string, schema: Manifest) => {
    // kubeconform takes the version for the group where there is none.
    writeFileSync(
      join(folder, `${group || version}_${version}_${kind.toLowerCase()}.json`),
      JSON.stringify(schema),
    );
    kinds.push(kind);
  };
  for (const file of globSync('*.json', { cwd: openApi })) {
    const { schemas } = JSON.parse(readFileSync(join(openApi, file), 'utf8')).components;
    const definitions = strict(schemas);
    // Others are of every group, such as DeleteOptions.
    for (const [name, schema] of Object.entries<Manifest>(schemas))
      for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? [])
        if (file.includes(group === '' ? 'api__' : `apis__${group}__`))
          write(group, version, kind, { $ref: `#/definitions/${name}`, definitions });
  }
  for (const file of definitions) {
    const { group, names, versions } = parse(readFileSync(file, 'utf8')).spec;
    for (const { name, schema } of versions) {
      const own = strict(schema.openAPIV3Schema);
      const meta = { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: { type: 'object' } };
      write(group, name, names.kind, { ...own, properties: { ...own.properties, ...meta } });
    }
  }
  return kinds;
}

function strict(schema: Manifest): Manifest {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== 'object' || schema === null) return schema;
  if (schema['x-kubernetes-int-or-string']) return { anyOf: [{ type: 'integer' }, { type: 'string' }] };
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] || schema['x-kubernetes-embedded-resource'];
  const result: Manifest = {};
  for (const [key, value] of Object.entries<Manifest>(schema)) {
    // `properties` has fields by name, which may be called as keywords are.
    if (key === 'properties')
      result.properties = Object.fromEntries(
        Object.entries(value).map(([name, property]) => [name, strict(property)]),
      );
    else if (key === '$ref') result.$ref = value.replace('#/components/schemas/', '#/definitions/');
    else if (
      !/^(x-kubernetes-|description$|default$|format$|nullable$)/.test(key) ||
      typeof value === 'object'
    )
      result[key] = strict(value);
  }
  for (const key of Object.keys(result)) if (key.startsWith('x-kubernetes-')) delete result[key];
  if (schema.nullable && result.type) result.type = [result.type, 'null'];
  if (result.properties && result.additionalProperties === undefined && !isOpen)
    result.additionalProperties = false;
  return result;
}
