import type { ByteWriter } from '../../../core/byte-writer.ts';
import { type Encode, InvalidValue } from './codec.ts';
import { jsonObjectMisfit } from './json-object.ts';
import { copyString, shown, type ValueType, type ValueTypes } from './value-type.ts';

/** json_send is the text; jsonb_send a version byte, always 1, and the text. */
export const jsons: ValueTypes = { json: () => jsonType(0), jsonb: () => jsonType(1) };

function jsonType(versionBytes: number): ValueType {
  const fromBinary = (encode: Encode): Encode =>
    versionBytes === 0 ? encode : (src, start, end, out) => encode(src, start + versionBytes, end, out);
  return {
    defaultType: () => 'String',
    writeText: (src: Buffer, start: number, end: number, out: ByteWriter) =>
      out.writeBytes(src, start + versionBytes, end),
    encoders({ name }) {
      if (name === 'String') return { text: copyString, binary: fromBinary(copyString) };
      if (name === 'JSON') return { text: copyObject, binary: fromBinary(copyObject) };
      return undefined;
    },
  };
}

const copyObject: Encode = (src, start, end, out) => {
  const misfit = jsonObjectMisfit(src.toString('utf8', start, end));
  if (misfit)
    throw new InvalidValue(`${shown(src, start, end)} ${misfit}, which the JSON type of ClickHouse refuses`);
  out.writeString(src, start, end);
};
