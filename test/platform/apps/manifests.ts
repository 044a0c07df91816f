import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { Manifest } from '../../support/helm-chart.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';

export interface Application {
  metadata: Manifest;
  spec: Manifest & { sources: Source[] };
  /** In apps/. */
  file: string;
}

export interface Source {
  repoURL: string;
  targetRevision: string;
  path?: string;
  chart?: string;
  helm?: { releaseName: string; valuesObject: Manifest; parameters?: unknown };
}

interface Kustomization {
  namespace?: string;
  resources?: string[];
  configMapGenerator?: { name: string; namespace?: string; files: string[] }[];
}

const read = (path: string) => readFileSync(join(repository, path), 'utf8');

/** Objects of a file with one or more. */
export function documents(text: string): Manifest[] {
  return parseAllDocuments(text).map(document => document.toJS({ maxAliasCount: 100 }));
}

/**
 * What kustomize makes of a folder, as far as the folders here need it: resources, a namespace for all, and ConfigMaps of files, without
 * the hash at the end of their names. That it is the same is tested where kustomize is.
 */
export function objectsOf(folder: string): Manifest[] {
  const { namespace, resources = [], configMapGenerator = [] } = kustomization(folder);
  const objects = resources.flatMap(resource => {
    const path = join(folder, resource);
    return existsSync(join(repository, path, 'kustomization.yaml')) ? objectsOf(path) : documents(read(path));
  });
  for (const { name, namespace, files } of configMapGenerator)
    objects.push({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, ...(namespace && { namespace }) },
      data: Object.fromEntries(files.map(file => [basename(file), read(join(folder, file))])),
    });
  if (namespace) for (const object of objects) object.metadata.namespace = namespace;
  return objects;
}

function kustomization(folder: string): Kustomization {
  const { apiVersion, kind, generatorOptions, ...rest } = parse(read(join(folder, 'kustomization.yaml')));
  return rest;
}

/** Of apps/, in the order of the file. */
export function applications(): Application[] {
  const { resources = [] } = kustomization(names.applicationsFolder);
  return resources.flatMap(file =>
    documents(read(join(names.applicationsFolder, file))).map(object => ({ ...object, file })),
  );
}

export function application(name: string): Application {
  return applications().find(({ metadata }) => metadata.name === name)!;
}

let brought: Manifest[] | undefined;

/** Of every Application but that of the chart: what it brings from this repository. */
export function platformObjects(): Manifest[] {
  brought ??= applications().flatMap(({ spec }) => {
    const [{ path }] = spec.sources;
    return path!.startsWith('helm/') ? [] : objectsOf(path!);
  });
  return brought;
}

export function find(kind: string, name: string, objects = platformObjects()): Manifest {
  const [found, ...others] = objects.filter(object => object.kind === kind && object.metadata.name === name);
  if (found === undefined || others.length > 0) throw new Error(`${others.length} others: ${kind} ${name}`);
  return found;
}

export interface Pod {
  /** As in `Deployment connect`. */
  of: string;
  namespace: string;
  labels: Record<string, string>;
  spec: Manifest;
}

/** Of everything that this repository describes; what charts and operators add is theirs. */
export function pods(): Pod[] {
  return platformObjects().flatMap((object): Pod[] => {
    const { kind, metadata, spec } = object;
    const of = `${kind} ${metadata.name}`;
    const templates =
      kind === 'ClickHouseInstallation' ? spec.templates.podTemplates : spec?.template ? [spec.template] : [];
    return templates.map((template: Manifest) => ({
      of,
      namespace: metadata.namespace,
      labels: template.metadata.labels,
      spec: template.spec,
    }));
  });
}

export const containersOf = ({ spec }: Pod): Manifest[] => [
  ...(spec.initContainers ?? []),
  ...spec.containers,
];

export const wave = ({ metadata }: { metadata: Manifest }): number =>
  Number(metadata.annotations?.['argocd.argoproj.io/sync-wave'] ?? 0);

/** `10Gi` in bytes. */
export function bytesOf(quantity: string): number {
  const [, number, unit] = /^([\d.]+)([KMG]i)$/.exec(quantity)!;
  return Number(number) * 1024 ** ('KMG'.indexOf(unit![0]!) + 1);
}

/** Default of a variable of terraform/modules/argocd that is a list of texts. */
export function terraformList(variable: string): string[] {
  const text = read('terraform/modules/argocd/variables.tf');
  const [, list] = new RegExp(`variable "${variable}" \\{[\\s\\S]*?default += \\[([\\s\\S]*?)\\]`).exec(
    text,
  )!;
  return [...list!.matchAll(/"([^"]+)"/g)].map(([, item]) => item!);
}
