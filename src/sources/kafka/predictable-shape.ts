import { Op } from '../../core/batch.ts';
import { Marker } from '../../core/tuple.ts';
import { isMissing } from './change-writer.ts';
import type { EnvelopeFields, Layout } from './envelope.ts';
import { isAddedField } from './flattened-row.ts';
import type { JsonObject } from './json-object.ts';
import { type PlannedValue, Role } from './json-plan.ts';
import type { KeyFields } from './message-key.ts';
import type { EnvelopeShape } from './predicted-envelope.ts';

/** Members that stay the same from message to message: they are compared, not looked at. */
const constants = ['version', 'connector', 'name', 'snapshot', 'db', 'schema', 'table'];

type Kind = EnvelopeShape['kind'];

/**
 * The shape of a JSON message whose change was read into `fields`, for messages like it; `undefined` when it is an unusual one.
 * Whatever decides how a message is read must be among the `values` with its role, or be left out of them: what is not a
 * value must be the same byte by byte. `document`: the whole message; `content`: the payload in it, or the same.
 */
export function predictableShape(
  document: JsonObject,
  content: JsonObject,
  key: KeyFields | null,
  fields: EnvelopeFields,
): EnvelopeShape | undefined {
  const { layout } = fields;
  if (document.hasDuplicates || content.hasDuplicates || layout.names.length === 0) return undefined;
  const { op, isFlattened, schema, table } = fields;
  const found = isFlattened ? flattenedShape(content, layout, op) : envelopeShape(content, layout, op);
  return found && { ...found, isFlattened, layout, key, schema, table };
}

type Found = Pick<EnvelopeShape, 'kind' | 'values'> | undefined;

function flattenedShape(content: JsonObject, layout: Layout, op: number): Found {
  const kind = op === Op.delete ? 'deleted' : 'fresh';
  const columns = content.names.filter(name => !isAddedField(name));
  if (!isSame(columns, layout.names)) return undefined;
  if (kind === 'deleted' && layout.key?.some(name => isMissing(content, name))) return undefined;
  const roles = new Map([...constants, 'deleted'].map(name => [`__${name}`, -1]));
  for (const name of constants) roles.set(`__source_${name}`, -1);
  assign(roles, content, Role.op, '__op');
  assign(roles, content, Role.lsn, '__lsn', '__source_lsn');
  assign(roles, content, Role.sequence, '__sequence', '__source_sequence');
  assignTime(roles, content, '__source_ts_us', '__source_ts_ms');
  for (const name of columns) roles.set(name, columnRole(kind, kind === 'deleted', name, layout));
  const values = valuesOf(content, roles);
  const first = values.findIndex(({ start }) => start === content.start(content.indexOf(columns[0]!)));
  values[first]!.marker = firstMarker(kind, layout);
  return { kind, values };
}

function envelopeShape(content: JsonObject, layout: Layout, op: number): Found {
  const source = content.struct('source');
  const before = content.struct('before') ?? undefined;
  const after = content.struct('after') ?? undefined;
  const kind = op === Op.delete ? 'deleted' : before ? 'changed' : 'fresh';
  const rows = kind === 'fresh' ? [after] : kind === 'deleted' ? [before] : [before, after];
  if (!source || source.hasDuplicates || (kind === 'deleted' && after)) return undefined;
  if (kind !== 'fresh' && layout.key?.some(name => !layout.names.includes(name))) return undefined;
  // Such a row is deleted by the key of the message, in another layout.
  if (kind === 'deleted' && layout.key?.some(name => !before || isMissing(before, name))) return undefined;
  const roles = new Map<string, number>();
  assign(roles, content, Role.op, 'op');
  // Nulls stay; what is there is taken apart.
  for (const name of ['before', 'after', 'source']) roles.set(name, -1);
  const sourceRoles = new Map(constants.map(name => [name, -1]));
  assign(sourceRoles, source, Role.lsn, 'lsn');
  assign(sourceRoles, source, Role.sequence, 'sequence');
  assignTime(sourceRoles, source, 'ts_us', 'ts_ms');
  const values = [...valuesOf(content, roles), ...valuesOf(source, sourceRoles)];
  let behind = 0;
  for (const row of rows) {
    if (!row || row.hasDuplicates || !isSame(row.names, layout.names) || row.start(0) < behind)
      return undefined;
    behind = row.end;
    const isOld = row === before;
    const columns = valuesOf(
      row,
      new Map(row.names.map(name => [name, columnRole(kind, isOld, name, layout)])),
    );
    columns[0]!.marker = isOld ? firstMarker(kind, layout) : Marker.new;
    values.push(...columns);
  }
  return { kind, values: values.sort((a, b) => a.start - b.start) };
}

function columnRole(kind: Kind, isOld: boolean, name: string, { key }: Layout): number {
  if (!isOld) return Role.column;
  if (key?.includes(name)) return Role.keyColumn;
  return kind === 'deleted' && key ? Role.besideKey : Role.oldColumn;
}

function firstMarker(kind: Kind, { key }: Layout): number {
  if (kind === 'fresh') return Marker.new;
  return kind === 'deleted' && key ? Marker.key : Marker.old;
}

/** Gives `role` to the first of the members that is not null: the nulls before it must stay, what is behind it does not matter. */
function assign(roles: Map<string, number>, object: JsonObject, role: number, ...names: string[]): boolean {
  for (const name of names) {
    const i = object.indexOf(name);
    if (i < 0) continue;
    if (!object.isNull(i)) {
      roles.set(name, role);
      return true;
    }
    roles.set(name, -1);
  }
  return false;
}

function assignTime(roles: Map<string, number>, object: JsonObject, micros: string, millis: string): void {
  if (!assign(roles, object, Role.micros, micros)) assign(roles, object, Role.millis, millis);
}

/** The members of `object` as values, without those of role -1, and without nulls that do not matter: they seldom change. */
function valuesOf(object: JsonObject, roles: ReadonlyMap<string, number>): PlannedValue[] {
  return object.names.flatMap((name, i) => {
    const role = roles.get(name) ?? Role.none;
    if (role < 0 || (role === Role.none && object.isNull(i))) return [];
    return [{ start: object.start(i), end: object.valueEnd(i), role, depth: object.depth }];
  });
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
