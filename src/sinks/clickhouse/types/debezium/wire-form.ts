import { ByteWriter } from '../../../../core/byte-writer.ts';
import type { ClickHouseType } from '../clickhouse-type.ts';
import { parseType, splitNullable } from '../clickhouse-type.ts';
import { type Encode, InvalidValue, type OnInvalid } from '../codec.ts';
import {
  asString,
  chooseEncoders,
  copyString,
  shown,
  type ValueType,
  viaText,
  type WriteText,
} from '../value-type.ts';

/**
 * How Debezium writes the values of a column, as ways to PostgreSQL's text: from there on the encoders of mode `wal` do
 * the work. Every way throws `InvalidValue` for what it cannot read exactly.
 */
export interface WireForm {
  /** From the content of a JSON string; `undefined` when that is PostgreSQL's text already. */
  text?: WriteText | undefined;
  /** From a number, boolean, array or object; `undefined` likewise. */
  json?: WriteText | undefined;
  /** Shorter ways into a ClickHouse type than over the text. */
  encoders?(
    target: ClickHouseType,
    onInvalid: OnInvalid,
    from: WireTarget,
  ): Partial<WireEncoders> | undefined;
}

/** What a short way may build on. */
export interface WireTarget {
  type: ValueType;
  /** Takes PostgreSQL's text. */
  postgresText: Encode;
}

export interface WireEncoders {
  text: Encode;
  json: Encode;
}

export interface ChosenWireEncoders extends WireEncoders {
  postgresText: Encode;
}

/** As `chooseEncoders`, for a column whose values come in envelopes. */
export function chooseWireEncoders(
  type: ValueType,
  form: WireForm,
  clickHouseType: string,
  onInvalid: OnInvalid,
): ChosenWireEncoders | undefined {
  const postgresText = chooseEncoders(type, clickHouseType, onInvalid)?.text;
  if (!postgresText) return undefined;
  let target = parseType(clickHouseType);
  if (target.name === 'LowCardinality') target = parseType(target.args[0]!);
  const own = form.encoders?.(target, onInvalid, { type, postgresText });
  return {
    text: own?.text ?? through(form.text, postgresText),
    json: own?.json ?? through(form.json, postgresText),
    postgresText,
  };
}

export interface WireElementEncoders extends ChosenWireEncoders {
  nullable: boolean;
}

/** As `chooseWireEncoders` for the elements of an Array. */
export function chooseWireElementEncoders(
  type: ValueType,
  form: WireForm,
  clickHouseType: string,
  onInvalid: OnInvalid,
): WireElementEncoders | undefined {
  const { type: elementType, nullable } = splitNullable(clickHouseType);
  const chosen = chooseWireEncoders(type, form, elementType, onInvalid);
  return chosen && { ...chosen, nullable };
}

function through(write: WriteText | undefined, encode: Encode): Encode {
  if (!write) return encode;
  return encode === copyString ? asString(write) : viaText(write, encode);
}

export const copyBytes: WriteText = (src, start, end, out) => out.writeBytes(src, start, end);

/** PostgreSQL's text of kinds `t` and `j`. */
export function textOf(form: WireForm): WireEncoders {
  return { text: form.text ?? copyBytes, json: form.json ?? copyBytes };
}

/** For a value that is not what schema or settings say. `hint` names the setting. */
export function notWire(what: string, src: Buffer, start: number, end: number, hint: string): InvalidValue {
  return new InvalidValue(`${JSON.stringify(shown(src, start, end))} is not ${what}${hint}`);
}

/** Text that is built before it is written elsewhere; one per use. */
export function scratch(bytes = 64): ByteWriter {
  return new ByteWriter(bytes);
}
