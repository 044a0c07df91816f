/**
 * Writes upstream/: the keys of the values of every chart that is taken from elsewhere, and what ClickHouseInstallation is made of. To be run
 * when a version in apps/ or terraform/modules/argocd changes, with a folder in which that chart lies unpacked:
 *
 *   helm pull altinity-clickhouse-operator --repo https://helm.altinity.com --version 0.27.1 --untar --untardir FOLDER
 *   npx node test/platform/apps/write-upstream.ts FOLDER
 *
 * Names and types only: the text is that of others.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Manifest } from '../../support/helm-chart.ts';
import { type ChartKeys, clickHouseDefinition, type Keys, pinnedCharts, upstreamFolder } from './upstream.ts';

/** Keys before equal ones are shared. */
type Tree = 'any' | 'leaf' | { items: Tree } | { keys: Map<string, Tree> };

interface Schema {
  [keyword: string]: unknown;
  $ref?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/** Maps that charts hand on as they are, beside the keys that they have there themselves. */
const openMaps = ['argo-cd.configs.cm', 'kube-prometheus-stack.grafana.grafana.ini'];

function ofValues(value: Manifest, where: string): Tree {
  // A chart takes anything where it has an empty map, a list or nothing.
  if (value === null || Array.isArray(value)) return 'any';
  if (typeof value !== 'object') return 'leaf';
  const keys = new Map(
    Object.entries(value).map(([key, child]) => [key, ofValues(child, `${where}.${key}`)]),
  );
  if (openMaps.includes(where)) keys.set('*', 'any');
  return keys.size === 0 ? 'any' : { keys };
}

function ofSchema(root: Schema, schema: Schema = root, seen: string[] = []): Tree {
  if (schema.$ref) {
    if (seen.includes(schema.$ref)) return 'any';
    const path = schema.$ref.replace('#/', '').split('/');
    const target = path.reduce<Schema>((at, key) => at[key] as Schema, root);
    return ofSchema(root, target, [...seen, schema.$ref]);
  }
  const branches = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (schema.items) return { items: ofSchema(root, schema.items, seen) };
  const keys = new Map(
    Object.entries(schema.properties ?? {}).map(([key, child]) => [key, ofSchema(root, child, seen)]),
  );
  if (typeof schema.additionalProperties === 'object')
    keys.set('*', ofSchema(root, schema.additionalProperties, seen));
  const own: Tree =
    schema.additionalProperties === true ? 'any' : keys.size > 0 ? { keys } : openOrLeaf(schema);
  return branches.map(branch => ofSchema(root, branch, seen)).reduce(union, own);
}

const openOrLeaf = (schema: Schema): Tree =>
  schema.type === undefined || schema.type === 'object' || schema.type === 'array' ? 'any' : 'leaf';

/** What either knows. What is open because nothing is said about it is as the other says. */
function union(one: Tree, other: Tree): Tree {
  if (typeof one === 'string' && typeof other === 'string')
    return one === 'any' || other === 'any' ? 'any' : 'leaf';
  if (typeof one === 'string') return other;
  if (typeof other === 'string') return one;
  if ('items' in one || 'items' in other)
    return 'items' in one && 'items' in other ? { items: union(one.items, other.items) } : 'any';
  const keys = new Map(one.keys);
  for (const [key, child] of other.keys) keys.set(key, keys.has(key) ? union(keys.get(key)!, child) : child);
  return { keys };
}

/** Equal sets of keys are written once. */
function shared(tree: Tree): Pick<ChartKeys, 'root' | 'shapes'> {
  const shapes = new Map<string, number>();
  const share = (node: Tree): Keys => {
    if (typeof node === 'string') return node;
    if ('items' in node) return [share(node.items)];
    const text = JSON.stringify(
      Object.fromEntries([...node.keys].map(([key, child]) => [key, share(child)])),
    );
    const index = shapes.get(text) ?? shapes.size;
    shapes.set(text, index);
    return index;
  };
  const root = share(tree);
  return { root, shapes: [...shapes.keys()].map(text => JSON.parse(text)) };
}

/** Of the schema of a definition what tells a misspelt name and a value of the wrong type. */
function reduced(schema: Manifest): Manifest {
  const { type, properties, items, nullable, enum: values } = schema;
  const kept: Manifest = { type, nullable };
  // The long lists are spellings of true and false.
  if (values?.length < 10) kept.enum = values;
  if (schema['x-kubernetes-preserve-unknown-fields']) kept['x-kubernetes-preserve-unknown-fields'] = true;
  if (items) kept.items = reduced(items);
  if (properties)
    kept.properties = Object.fromEntries(
      Object.entries<Manifest>(properties).map(([name, property]) => [name, reduced(property)]),
    );
  return kept;
}

function definition(file: string, version: string): Manifest {
  const { apiVersion, kind, metadata, spec } = parse(readFileSync(file, 'utf8'));
  const { group, names, scope } = spec;
  return {
    apiVersion,
    kind,
    metadata: { name: metadata.name, annotations: { version } },
    spec: {
      group,
      names,
      scope,
      versions: spec.versions.map(({ name, served, storage, subresources, schema }: Manifest) => {
        const { spec } = reduced(schema.openAPIV3Schema).properties;
        const status = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
        const openAPIV3Schema = { type: 'object', properties: { spec, status } };
        return { name, served, storage, subresources, schema: { openAPIV3Schema } };
      }),
    },
  };
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('The folder with the charts is missing: see the top of this file.');
for (const [chart, pinned] of Object.entries(pinnedCharts())) {
  const at = (file: string) => join(folder, chart, file);
  const text = (file: string) => readFileSync(at(file), 'utf8');
  if (!existsSync(at('Chart.yaml'))) continue;
  const { version, dependencies = [] } = parse(text('Chart.yaml'));
  if (version !== pinned) throw new Error(`${chart} in ${folder} is ${version}, ${pinned} is used.`);
  const inner = dependencies
    .filter(({ name }: { name: string }) => existsSync(at(`charts/${name}/values.yaml`)))
    .map(({ name }: { name: string }) => {
      const values = ofValues(parse(text(`charts/${name}/values.yaml`)), `${chart}.${name}`);
      return { keys: new Map([[name, values]]) };
    });
  const values = [ofValues(parse(text('values.yaml')), chart), ...inner].reduce(union);
  const schema = existsSync(at('values.schema.json')) && ofSchema(JSON.parse(text('values.schema.json')));
  const { root, shapes } = shared(schema ? union(values, schema) : values);
  const lines = shapes.map(shape => JSON.stringify(shape)).join(',\n');
  writeFileSync(
    join(upstreamFolder, `${chart}.json`),
    `${JSON.stringify({ chart, version, root }).slice(0, -1)},"shapes":[\n${lines}\n]}\n`,
  );
  for (const file of globSync(at('crds/*-clickhouseinstallations.*.yaml')))
    writeFileSync(
      clickHouseDefinition,
      stringify(definition(file, version), { lineWidth: 0, aliasDuplicateObjects: false }),
    );
}
