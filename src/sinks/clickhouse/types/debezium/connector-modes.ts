import type { Column, PgType, Wire } from '../../../../core/relation.ts';
import { binaryParameter, isBinary } from './wire-forms.ts';

/** How the connector is set up (`kafka.connector`), for what messages do not say themselves. */
export interface ConnectorModes {
  /** `decimal.handling.mode` */
  decimals: 'string' | 'precise' | 'double';
  /** `time.precision.mode` */
  times: 'isostring' | 'adaptive' | 'adaptive_time_microseconds' | 'connect' | 'microseconds' | 'nanoseconds';
  /** `binary.handling.mode` */
  binary: 'base64' | 'base64-url-safe' | 'hex' | 'bytes';
  /** `interval.handling.mode` */
  intervals: 'string' | 'numeric';
}

/**
 * The column with a wire that says all: of a message without schema what the connector's schema would be, of one with a
 * schema how its strings have binary data. Columns without a wire stay as they are.
 */
export function withConnectorModes<C extends Column>(column: C, modes: ConnectorModes): C {
  const { wire, type, typmod } = column;
  return wire ? { ...column, wire: completeWire(type, typmod, wire, modes) } : column;
}

function completeWire(type: PgType, typmod: number, wire: Wire, modes: ConnectorModes): Wire {
  if (wire.type === undefined) return schemalessWire(type, typmod, modes);
  if (type.kind === 'domain' && type.inner)
    return completeWire(type.inner, type.innerTypmod ?? -1, wire, modes);
  if (wire.type === 'array' && wire.items && type.kind === 'array' && type.inner)
    return { ...wire, items: completeWire(type.inner, typmod, wire.items, modes) };
  return wire.type === 'string' && wire.name === undefined && isBinary(type) ? binaryWire(modes) : wire;
}

/**
 * What the connector's schema of a column would be. `isAssumed`: the type is not from PostgreSQL's catalog, so that its typmod
 * is not known; then what depends on that stays open, and its values are refused.
 */
export function schemalessWire(type: PgType, typmod: number, modes: ConnectorModes, isAssumed = false): Wire {
  if (type.kind === 'domain' && type.inner)
    return schemalessWire(type.inner, type.innerTypmod ?? -1, modes, isAssumed);
  if (type.kind === 'array' && type.inner)
    return { type: 'array', items: schemalessWire(type.inner, typmod, modes, isAssumed) };
  if (type.kind !== 'enum' && Object.hasOwn(byName, type.name))
    return byName[type.name]!(typmod, modes, isAssumed);
  return isBinary(type) ? binaryWire(modes) : { type: 'string' };
}

type Guess = (typmod: number, modes: ConnectorModes, isAssumed: boolean) => Wire;

const decimal = 'org.apache.kafka.connect.data.Decimal';

const byName: Readonly<Record<string, Guess>> = {
  numeric(typmod, { decimals }, isAssumed) {
    const setting = `kafka.connector.decimals is ${decimals}`;
    if (decimals !== 'precise') return { type: decimals, setting };
    if (isAssumed) return { type: 'bytes', name: decimal, setting: `${setting}${needsCatalog('scale')}` };
    if (typmod < 4) return { type: 'struct', name: 'io.debezium.data.VariableScaleDecimal', setting };
    // Debezium takes a negative scale as it is stored: in eleven bits.
    return { type: 'bytes', name: decimal, parameters: { scale: String((typmod - 4) & 0x7ff) }, setting };
  },
  money(_typmod, { decimals }) {
    const setting = `kafka.connector.decimals is ${decimals}`;
    if (decimals !== 'precise') return { type: decimals, setting };
    return { type: 'bytes', name: decimal, parameters: { scale: '2' }, setting };
  },
  date: (_typmod, { times }) => ({
    name: times === 'isostring' ? 'io.debezium.time.IsoDate' : 'io.debezium.time.Date',
    setting: `kafka.connector.times is ${times}`,
  }),
  time(typmod, { times }, isAssumed) {
    const setting = `kafka.connector.times is ${times}`;
    if (times === 'isostring') return { name: 'io.debezium.time.IsoTime', setting };
    if (times === 'nanoseconds') return { name: 'io.debezium.time.NanoTime', setting };
    if (times === 'connect') return { name: 'io.debezium.time.Time', setting };
    if (times === 'adaptive') {
      if (isAssumed) return { setting: `${setting}${needsCatalog('unit')}` };
      if (typmod >= 0 && typmod <= 3) return { name: 'io.debezium.time.Time', setting };
    }
    return { name: 'io.debezium.time.MicroTime', setting };
  },
  timestamp: timestampWire,
  // As which an assumed one may come as well; a real one is text in every mode.
  timestamptz: (typmod, modes, isAssumed) =>
    isAssumed ? timestampWire(typmod, modes, true) : { name: 'io.debezium.time.ZonedTimestamp' },
  interval: (_typmod, { intervals }) => ({
    name: intervals === 'string' ? 'io.debezium.time.Interval' : 'io.debezium.time.MicroDuration',
    setting: `kafka.connector.intervals is ${intervals}`,
  }),
};

function timestampWire(typmod: number, { times }: ConnectorModes, isAssumed: boolean): Wire {
  const setting = `kafka.connector.times is ${times}`;
  if (times === 'isostring') return { name: 'io.debezium.time.IsoTimestamp', setting };
  if (times === 'nanoseconds') return { name: 'io.debezium.time.NanoTimestamp', setting };
  if (times === 'connect') return { name: 'io.debezium.time.Timestamp', setting };
  if (times.startsWith('adaptive')) {
    if (isAssumed) return { setting: `${setting}${needsCatalog('unit')}` };
    if (typmod >= 0 && typmod <= 3) return { name: 'io.debezium.time.Timestamp', setting };
  }
  return { name: 'io.debezium.time.MicroTimestamp', setting };
}

function needsCatalog(what: string): string {
  return `, whose ${what} depends on the column: set postgres.url, or let messages have schemas`;
}

function binaryWire({ binary }: ConnectorModes): Wire {
  const setting = `kafka.connector.binary is ${binary}`;
  if (binary === 'bytes') return { type: 'bytes', setting };
  return { type: 'string', parameters: { [binaryParameter]: binary === 'hex' ? 'hex' : 'base64' }, setting };
}
