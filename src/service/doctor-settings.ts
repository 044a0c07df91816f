import { parseDottedName } from '../config/table-patterns.ts';
import type { Config } from '../config.ts';
import { qualifiedName } from '../core/relation.ts';
import type { Findings } from './doctor-findings.ts';
import type { PublishedScope } from './source-setup.ts';

/** Settings that name a table or column which is not there: they have no effect, most likely they are misspelt. */
export function diagnoseSettings(
  config: Config,
  scope: Pick<PublishedScope, 'tables' | 'unmatchedExclude'>,
  findings: Findings,
): void {
  for (const pattern of scope.unmatchedExclude)
    findings.warn('exclude', `"${pattern}" matches no table`, 'Correct the pattern, or remove it.');
  const tables = new Map(scope.tables.map(table => [qualifiedName(table), table]));
  const warn = (setting: string, names: string[], problem: string) =>
    findings.warn(`${setting}."${names.join('.')}"`, problem, 'Correct the name, or remove the entry.');
  for (const name of Object.keys(config.tableOptions)) {
    const [schema = '', table = ''] = parseDottedName(name, 2);
    if (!tables.has(qualifiedName({ schema, name: table })))
      warn('tableOptions', [schema, table], 'has no effect: no such table is replicated');
  }
  for (const name of Object.keys(config.columns)) {
    const names = parseDottedName(name, 3);
    const [schema = '', table = '', column] = names;
    const found = tables.get(qualifiedName({ schema, name: table }));
    if (!found) warn('columns', names, 'has no effect: no such table is replicated');
    else if (!found.columns.some(other => other.name === column))
      warn('columns', names, `has no effect: table ${schema}.${table} has no such column`);
  }
}
