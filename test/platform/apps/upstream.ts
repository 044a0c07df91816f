import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { applications, type Source } from './manifests.ts';
import { read } from './parts.ts';

/** What the keys of other people's charts are kept in. */
export const upstreamFolder = join(import.meta.dirname, 'upstream');

/** Of Altinity's operator, reduced to names and types: it is published with its chart alone. */
export const clickHouseDefinition = join(upstreamFolder, 'clickhouseinstallations.yaml');

/** `any`: whatever it is. `leaf`: nothing below it. A number: the keys of that shape. A list: of such items. */
export type Keys = 'any' | 'leaf' | number | [Keys];

/** The keys that a chart's values may have; write-upstream.ts writes it. */
export interface ChartKeys {
  chart: string;
  /** Of the chart that the keys are of. */
  version: string;
  root: Keys;
  /** Keys by name; `*` stands for any other. */
  shapes: Record<string, Keys>[];
}

export function chartKeys(chart: string): ChartKeys {
  return JSON.parse(readFileSync(join(upstreamFolder, `${chart}.json`), 'utf8'));
}

/** Version by chart, of those that the Applications and Terraform take from elsewhere. */
export function pinnedCharts(): Record<string, string> {
  const variables = read('terraform/modules/argocd/variables.tf');
  const version = (variable: string) =>
    new RegExp(`variable "${variable}" \\{[^}]*default += "([^"]+)"`).exec(variables)![1]!;
  const others = applications().flatMap(({ spec }) =>
    spec.sources.flatMap(({ chart, targetRevision }: Source) => (chart ? [[chart, targetRevision]] : [])),
  );
  return {
    ...Object.fromEntries(others),
    'argo-cd': version('argocd_chart_version'),
    'argocd-apps': version('apps_chart_version'),
    'kube-prometheus-stack': version('monitoring_chart_version'),
  };
}

export function hasKey({ root, shapes }: ChartKeys, path: (string | number)[]): boolean {
  let at: Keys = root;
  for (const key of path) {
    if (at === 'any') return true;
    if (at === 'leaf') return false;
    const next: Keys | undefined = Array.isArray(at)
      ? typeof key === 'number'
        ? at[0]
        : undefined
      : (shapes[at]![key] ?? shapes[at]!['*']);
    if (next === undefined) return false;
    at = next;
  }
  return true;
}

/** Paths of all leaves. */
export function leavesOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return entries.length === 0 ? [path] : entries.flatMap(([key, child]) => leavesOf(child, [...path, key]));
}
