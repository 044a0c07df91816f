import { quoteIdent } from '../sources/wal/connect.ts';
import { type Form, postgresString } from './form.ts';

/**
 * `["a","b \" c",NULL]`: elements in quotes, so that no element can be taken for two, or for NULL. An array that
 * ClickHouse cannot hold (more dimensions, another lower bound than 1) is PostgreSQL's text, which never equals that.
 * ClickHouse has no NULL arrays: they are empty there (a `<column>__null` beside them is a column of its own here).
 */
export function arrayForm(element: Form, clampElements: boolean): Form {
  const quote = quotation(element);
  const item = (clampElements && element.clamp?.('u.e')) || 'u.e';
  return {
    postgres: value =>
      `CASE WHEN ${value} IS NULL THEN '[]' ` +
      `WHEN array_ndims(${value}) > 1 OR array_lower(${value}, 1) <> 1 THEN concat(${value}) ` +
      `ELSE '[' || array_to_string(ARRAY(SELECT coalesce(${quote.postgres(element.postgres(item))}, 'NULL') ` +
      `FROM (SELECT unnest(${value}) AS e) AS u), ',') || ']' END`,
    clickhouse: value =>
      `concat('[', arrayStringConcat(arrayMap(e -> ifNull(${quote.clickhouse(element.clickhouse('e'))}, 'NULL'), ` +
      `${value}), ','), ']')`,
    unbounded: true,
    ...(element.plain && element.readable
      ? { readable: text => `[${text.slice(1, -1).split(',').map(element.readable!).join(',')}]` }
      : {}),
  };
}

/** `{"key":"value","other":NULL}`, sorted by key. */
export function hstoreForm(schema: string): Form {
  const quote = quotation({});
  return {
    postgres: value =>
      `CASE WHEN ${value} IS NULL THEN '{}' ELSE '{' || coalesce((` +
      `SELECT string_agg(${quote.postgres('p.k')} || ':' || coalesce(${quote.postgres('p.v')}, 'NULL'), ',' ` +
      `ORDER BY convert_to(p.k, 'UTF8')) FROM ${quoteIdent(schema)}.each(${value}) AS p(k, v)), '') || '}' END`,
    clickhouse: value =>
      `concat('{', arrayStringConcat(arrayMap(p -> concat(${quote.clickhouse('p.1')}, ':', ` +
      `ifNull(${quote.clickhouse('p.2')}, 'NULL')), arraySort(p -> p.1, arrayZip(mapKeys(${value}), mapValues(${value})))), ','), '}')`,
    unbounded: true,
  };
}

function quotation(
  element: Pick<Form, 'plain'>,
): Record<'postgres' | 'clickhouse', (text: string) => string> {
  if (element.plain) return { postgres: text => text, clickhouse: text => text };
  const backslash = postgresString('\\');
  const two = postgresString('\\\\');
  return {
    postgres: text =>
      `'"' || replace(replace(${text}, ${backslash}, ${two}), '"', ${postgresString('\\"')}) || '"'`,
    clickhouse: text => `concat('"', replaceAll(replaceAll(${text}, '\\\\', '\\\\\\\\'), '"', '\\\\"'), '"')`,
  };
}
