import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { toolMissing, toolPath } from './built-tool.ts';
import { tempDir } from './temp-dir.ts';

const root = join(import.meta.dirname, '../..');
export const chartDir = join(root, 'helm/ingestion-service');
const tool = toolPath('helm-unittest');

/** Why charts cannot be rendered here; false when they can. */
export const helmMissing = () => toolMissing('helm-unittest');

// biome-ignore lint/suspicious/noExplicitAny: objects of Kubernetes, of every kind.
export type Manifest = any;

export interface Values {
  [key: string]: unknown;
}

/** Names of the examples in the chart's folder `ci`. */
export const chartExamples = readdirSync(join(chartDir, 'ci')).map(file => file.replace('-values.yaml', ''));

/** Values of an example in the chart's folder `ci`. */
export function exampleValues(name: string): Values {
  return parse(readFileSync(join(chartDir, 'ci', `${name}-values.yaml`), 'utf8'));
}

/** Lays the second over the first as Helm does: maps are merged, null removes, everything else is replaced. */
export function mergeValues(under: Values, over: Values): Values {
  const isMap = (value: unknown): value is Values =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isMap(below) && isMap(value) ? mergeValues(below, value) : value;
  }
  return merged;
}

/** Renders the chart, as release `pipe` in namespace `data`: by name the objects, and NOTES as `{ raw }`. Throws what Helm says. */
export function renderChart(cases: Record<string, Values>): Record<string, Manifest[]> {
  using dir = tempDir();
  cpSync(chartDir, dir.path, { recursive: true });
  const names = Object.keys(cases);
  names.forEach((name, i) => {
    writeFileSync(join(dir.path, `${i}.yaml`), stringify(cases[name]));
  });
  const tests = names.map((name, i) => ({
    it: name,
    release: { name: 'pipe', namespace: 'data' },
    values: [`../${i}.yaml`],
    asserts: [{ matchSnapshot: {} }],
  }));
  mkdirSync(join(dir.path, 'tests'));
  writeFileSync(join(dir.path, 'tests/render_test.yaml'), stringify({ suite: 'render', tests }));
  const { status, stdout, stderr } = spawnSync(tool, ['--update-snapshot', dir.path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${stdout}${stderr}`);
  const snapshot = join(dir.path, 'tests/__snapshot__/render_test.yaml.snap');
  const rendered: Record<string, Record<string, string>> = parse(readFileSync(snapshot, 'utf8'));
  return Object.fromEntries(
    names.map(name => [name, Object.values(rendered[name]!).map(text => parse(text))]),
  );
}

/** What Helm says of values that it must not take. */
export function renderError(values: Values): string {
  try {
    renderChart({ wrong: values });
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`nothing is wrong for Helm with ${JSON.stringify(values)}`);
}
