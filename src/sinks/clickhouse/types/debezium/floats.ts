import { isAscii, writeAscii } from '../ascii.ts';
import { float4Text, float8Text } from '../float-text.ts';
import { notWire, type WireForm } from './wire-form.ts';

/** `float4`, `float8`: numbers, and `NaN` and the infinities as text. Digits as text are of a numeric. */
export function floatForm(name: 'float4' | 'float8'): WireForm {
  const textOf = name === 'float4' ? (value: number) => float4Text(Math.fround(value)) : float8Text;
  return {
    text(src, start, end, out) {
      if (!['NaN', 'Infinity', '-Infinity'].some(special => isAscii(src, start, end, special)))
        throw notWire(`a ${name}, which comes as a number`, src, start, end, '');
      out.writeBytes(src, start, end);
    },
    json(src, start, end, out) {
      const text = src.toString('latin1', start, end);
      const value = Number(text);
      if (Number.isNaN(value) && text !== 'NaN') throw notWire(`a ${name}`, src, start, end, '');
      writeAscii(out, textOf(value));
    },
    encoders: (target, _onInvalid, { postgresText }) =>
      target.name.startsWith('Float') ? { json: postgresText } : undefined,
  };
}
