/**
 * Reads JSON messages that are like one seen before, 16 bytes at a time: src/sources/kafka/json-kernel.ts calls it and says what a
 * plan is. Whoever calls leaves 16 bytes behind what is read and what is written: they may be looked at, and scribbled on.
 */

/** What is done with a value: `Role` of src/sources/kafka/json-plan.ts. */
enum Role {
  none,
  column,
  oldColumn,
  keyColumn,
  besideKey,
  lsn,
  sequence,
  micros,
  millis,
  op,
}

// Of what a plan is made, in bytes.
const planColumns = 4;
const planMayBeUnchanged = 8;
const planForms = 12;
const planSteps = 16;
const stepBytes = 16;
const stepLength = 4;
const stepRole = 8;
const stepMarker = 9;
const stepDepth = 12;

/** Containers within containers that are followed: `maxDepth` of json-scan.ts. */
const maxDepth = 1000;

const kindNull: u8 = 110;
const kindUnchanged: u8 = 117;
const kindText: u8 = 116;
const kindJson: u8 = 106;

/** Above it a number is not exact in JavaScript. */
const mostExact: u64 = 9007199254740991;

// What `read` found, for JavaScript, in bytes.
const foundLastCommit = 8;
const foundTime = 16;
const foundOp = 24;
const foundFlags = 28;
// Of a record in a run besides.
const recordPlan = 32;
const recordTuplesEnd = 36;
const recordOffsetDelta = 40;
const recordValueStart = 44;
const recordValueEnd = 48;
const recordEnd = 52;
const recordBytes = 56;

/** `__debezium.`: of the headers with a changed key, `__debezium.newkey` and `__debezium.oldkey`. */
const keyHeader = memory.data<u8>([95, 95, 100, 101, 98, 101, 122, 105, 117, 109, 46]);
const keyHeaderStart = 11;
const keyHeaderBytes = 17;

/** Of a message that is read alone. */
const alone = memory.data(32);
/** Where `read` leaves what it finds. */
let found: usize = alone;
/** Where `varint` reads. */
let next: usize = 0;
/** The opening bytes of the containers around the value that is walked over. */
const open = memory.data(maxDepth);
/** What the byte behind a backslash stands for; 0 for `u` and what cannot stand there. */
const escapes = memory.data(256);
store<u8>(escapes + 34, 34);
store<u8>(escapes + 92, 92);
store<u8>(escapes + 47, 47);
store<u8>(escapes + 98, 8);
store<u8>(escapes + 102, 12);
store<u8>(escapes + 110, 10);
store<u8>(escapes + 114, 13);
store<u8>(escapes + 116, 9);

/** Where the next value goes. */
let at: usize = 0;
/** Of the placeholder, or 0. */
let forms: usize = 0;
let isUnchanged = false;
/** High bits of the text that was seen: other than ASCII, it is to be checked. */
let high: i32 = 0;
/** What `integer` and `sequence` read. */
let number: u64 = 0;

export function foundAt(): usize {
  return alone;
}

export function allocate(bytes: usize): usize {
  return heap.alloc(bytes);
}

export function release(address: usize): void {
  heap.free(address);
}

/** Reads what lies at `pos` by `plan`, and writes tuples to `out`. Returns where they end, or 0 when it is not as planned. */
export function read(plan: usize, pos: usize, end: usize, out: usize): usize {
  const count = load<i32>(plan);
  const columns = load<i32>(plan, planColumns);
  const mayBeUnchanged = load<i32>(plan, planMayBeUnchanged) !== 0;
  forms = load<usize>(plan, planForms);
  let step = plan + planSteps;
  at = out;
  isUnchanged = false;
  high = 0;
  let lsn: u64 = 0;
  let lastCommit: u64 = 0;
  let time: f64 = NaN;
  let op: i32 = 0;
  for (let i = 0; i < count; i++, step += stepBytes) {
    pos = literal(step, pos, end);
    if (pos === 0) return 0;
    const marker = load<u8>(step, stepMarker);
    if (marker !== 0) {
      store<u8>(at, marker);
      store<u8>(at, <u8>(columns >> 8), 1);
      store<u8>(at, <u8>columns, 2);
      at += 3;
    }
    const depth = load<i32>(step, stepDepth);
    switch (<i32>load<u8>(step, stepRole)) {
      case Role.column:
        pos = write(pos, end, depth, mayBeUnchanged);
        break;
      case Role.keyColumn:
        if (load<u8>(pos) === 110) return 0;
        pos = write(pos, end, depth, false);
        break;
      case Role.oldColumn:
        pos = write(pos, end, depth, false);
        break;
      case Role.besideKey:
        store<u8>(at++, kindNull);
        pos = skipValue(pos, end, depth);
        break;
      case Role.lsn:
        pos = integer(pos, end);
        lsn = number;
        break;
      case Role.sequence:
        pos = sequence(pos, end);
        lastCommit = number;
        break;
      case Role.micros:
        pos = integer(pos, end);
        time = <f64>number;
        break;
      case Role.millis:
        pos = integer(pos, end);
        time = <f64>number * 1000;
        break;
      case Role.op:
        if (load<u8>(pos) !== 34 || load<u8>(pos, 2) !== 34) return 0;
        op = load<u8>(pos, 1);
        pos += 3;
        break;
      default:
        pos = skipValue(pos, end, depth);
    }
    if (pos === 0 || pos > end) return 0;
  }
  if (literal(step, pos, end) !== end) return 0;
  store<f64>(found, <f64>lsn);
  store<f64>(found, <f64>lastCommit, foundLastCommit);
  store<f64>(found, time, foundTime);
  store<i32>(found, op, foundOp);
  store<i32>(found, i32(isUnchanged) | (i32(high !== 0) << 1), foundFlags);
  return at;
}

/**
 * Reads records of a batch (Kafka docs, "Record"), from `start` on, up to the first that is not as planned: of another key, with
 * a header that says that the key changed, before `leastDelta`, longer than `mostBytes` or with no room left for its tuples. `plans`: `count`
 * addresses, of which each message has one. What was found goes to `records`; its tuples, all in a row, to `out`.
 */
export function readRun(
  keyPlan: usize,
  plans: usize,
  count: i32,
  start: usize,
  end: usize,
  most: i32,
  leastDelta: i32,
  mostBytes: i32,
  out: usize,
  outEnd: usize,
  records: usize,
): i32 {
  const firstOut = out;
  let likely = 0;
  let n = 0;
  next = start;
  for (; n < most && next + 5 <= end; n++, records += recordBytes) {
    const length = varint();
    const behind = next + length;
    if (length < 8 || length > mostBytes || behind > end) break;
    next++; // attributes: none are defined
    while (load<u8>(next++) >= 128 && next < behind) {} // timestamp
    if (next >= behind) break;
    const delta = varint();
    if (delta < leastDelta) break;
    const keyBytes = varint();
    const keyStart = next;
    if (keyPlan === 0 ? keyBytes >= 0 : keyBytes <= 0) break;
    if (keyBytes > 0) next += keyBytes;
    if (next >= behind) break;
    const valueBytes = varint();
    const valueStart = next;
    const valueEnd = next + valueBytes;
    if (valueBytes <= 0 || valueEnd >= behind) break;
    next = valueEnd;
    if (!hasNoKeyHeader(behind)) break;
    found = alone;
    // A key with text that may be no valid UTF-8 is for a closer look.
    if (keyPlan !== 0 && (read(keyPlan, keyStart, keyStart + keyBytes, out) === 0 || high !== 0)) break;
    found = records;
    let tuplesEnd: usize = 0;
    for (let i = 0; i < count; i++) {
      const plan = load<usize>(plans + (likely << 2));
      if (out + valueBytes + tuplesOverhead(plan) > outEnd) break;
      tuplesEnd = read(plan, valueStart, valueEnd, out);
      if (tuplesEnd !== 0) break;
      likely = likely + 1 < count ? likely + 1 : 0;
    }
    if (tuplesEnd === 0) break;
    out = tuplesEnd;
    next = behind;
    store<i32>(records, likely, recordPlan);
    store<i32>(records, <i32>(out - firstOut), recordTuplesEnd);
    store<i32>(records, delta, recordOffsetDelta);
    store<i32>(records, <i32>(valueStart - start), recordValueStart);
    store<i32>(records, <i32>(valueEnd - start), recordValueEnd);
    store<i32>(records, <i32>(behind - start), recordEnd);
  }
  found = alone;
  return n;
}

/** What tuples may be longer than the message: `Plan.overhead`. */
function tuplesOverhead(plan: usize): i32 {
  return 16 + load<i32>(plan) * 5;
}

/** Whether none of the headers that come `next` may be the one with a changed key. */
function hasNoKeyHeader(behind: usize): bool {
  const count = varint();
  for (let i = 0; i < count; i++) {
    const length = varint();
    if (length < 0 || next + length > behind) return false;
    if (length === keyHeaderBytes && isEqual(keyHeader, next, keyHeaderStart)) return false;
    next += length;
    const valueBytes = varint();
    if (valueBytes > 0) next += valueBytes;
    if (next > behind) return false;
  }
  return count >= 0;
}

/** A zigzag varint of 32 bits. */
function varint(): i32 {
  let byte: u32 = load<u8>(next++);
  let value = byte & 127;
  for (let shift = 7; byte >= 128 && shift < 35; shift += 7) {
    byte = load<u8>(next++);
    value |= (byte & 127) << shift;
  }
  return <i32>(value >>> 1) ^ -(<i32>value & 1);
}

/** Where the literal in front of a value ends if it starts at `pos`; 0 when something else is there. */
function literal(step: usize, pos: usize, end: usize): usize {
  const length = load<i32>(step, stepLength);
  const behind = pos + length;
  if (behind > end) return 0;
  return isEqual(load<usize>(step), pos, length) ? behind : 0;
}

function isEqual(a: usize, b: usize, length: i32): bool {
  if (length >= 16) {
    // The last sixteen bytes may have been compared in part already.
    const last = a + length - 16;
    const lastOther = b + length - 16;
    for (; a < last; a += 16, b += 16) if (v128.any_true(v128.xor(v128.load(a), v128.load(b)))) return false;
    return !v128.any_true(v128.xor(v128.load(last), v128.load(lastOther)));
  }
  if (length >= 8)
    return load<u64>(a) === load<u64>(b) && load<u64>(a + length - 8) === load<u64>(b + length - 8);
  if (length >= 4)
    return load<u32>(a) === load<u32>(b) && load<u32>(a + length - 4) === load<u32>(b + length - 4);
  for (let i = 0; i < length; i++) if (load<u8>(a + i) !== load<u8>(b + i)) return false;
  return true;
}

/** Copies the value at `pos`, in `depth` containers, into the tuple. Returns the position behind it; 0 when it is not valid. */
function write(pos: usize, end: usize, depth: i32, mayBeUnchanged: bool): usize {
  const start = at;
  const byte = pos < end ? load<u8>(pos) : 0;
  if (byte === 34) {
    at = start + 5;
    pos = copyString(pos + 1, end);
    if (pos === 0) return 0;
    if (mayBeUnchanged && isPlaceholder(start + 5, <i32>(at - start - 5))) setUnchanged(start);
    else writeHeader(start, kindText);
    return pos;
  }
  if (byte === 110) {
    store<u8>(at++, kindNull);
    return skipWord(pos, end);
  }
  const behind = skipValue(pos, end, depth);
  if (behind === 0) return 0;
  if (byte >= 91 && mayBeUnchanged && isPlaceholderToken(pos, behind)) {
    setUnchanged(start);
    return behind;
  }
  const length = behind - pos;
  if (length <= 16) v128.store(start + 5, v128.load(pos));
  else memory.copy(start + 5, pos, length);
  at = start + 5 + length;
  writeHeader(start, kindJson);
  return behind;
}

function setUnchanged(start: usize): void {
  store<u8>(start, kindUnchanged);
  at = start + 1;
  isUnchanged = true;
}

/** Kind and length of the value that ends at `at`. */
function writeHeader(start: usize, kind: u8): void {
  store<u8>(start, kind);
  store<u32>(start, bswap<u32>(<u32>(at - start - 5)), 1);
}

/** Which of 16 bytes are a quote, a backslash or below a space. */
function specialBytes(bytes: v128): i32 {
  return i8x16.bitmask(
    v128.or(
      v128.or(i8x16.eq(bytes, i8x16.splat(34)), i8x16.eq(bytes, i8x16.splat(92))),
      i8x16.lt_u(bytes, i8x16.splat(32)),
    ),
  );
}

/** `pos`: behind the opening quote. Copies to `at`. Returns the position behind the closing quote; 0 when it is not valid. */
function copyString(pos: usize, end: usize): usize {
  let to = at;
  while (pos < end) {
    const bytes = v128.load(pos);
    v128.store(to, bytes);
    const special = specialBytes(bytes);
    if (special === 0) {
      high |= i8x16.bitmask(bytes);
      pos += 16;
      to += 16;
      continue;
    }
    const first = ctz(special);
    high |= i8x16.bitmask(bytes) & ((1 << first) - 1);
    pos += first;
    to += first;
    if (pos >= end) return 0;
    const byte = load<u8>(pos);
    if (byte === 34) {
      at = to;
      return pos + 1;
    }
    if (byte !== 92 || pos + 1 >= end) return 0;
    const char = load<u8>(escapes + load<u8>(pos, 1));
    if (char !== 0) {
      store<u8>(to++, char);
      pos += 2;
      continue;
    }
    const behind = skipEscape(pos, end);
    if (behind === 0) return 0;
    to = writeCodePoint(codePoint(pos), to);
    pos = behind;
  }
  return 0;
}

/** Of the escape at `pos`, which was checked: `\uXXXX`, or a pair of them. */
function codePoint(pos: usize): u32 {
  const unit = codeUnit(pos + 2);
  return unit < 0xd800 || unit > 0xdfff
    ? unit
    : 0x10000 + ((unit - 0xd800) << 10) + codeUnit(pos + 8) - 0xdc00;
}

function writeCodePoint(point: u32, to: usize): usize {
  if (point < 0x80) {
    store<u8>(to, <u8>point);
    return to + 1;
  }
  if (point < 0x800) {
    store<u8>(to, <u8>(0xc0 | (point >> 6)));
    store<u8>(to, <u8>(0x80 | (point & 63)), 1);
    return to + 2;
  }
  if (point < 0x10000) {
    store<u8>(to, <u8>(0xe0 | (point >> 12)));
    store<u8>(to, <u8>(0x80 | ((point >> 6) & 63)), 1);
    store<u8>(to, <u8>(0x80 | (point & 63)), 2);
    return to + 3;
  }
  store<u8>(to, <u8>(0xf0 | (point >> 18)));
  store<u8>(to, <u8>(0x80 | ((point >> 12) & 63)), 1);
  store<u8>(to, <u8>(0x80 | ((point >> 6) & 63)), 2);
  store<u8>(to, <u8>(0x80 | (point & 63)), 3);
  return to + 4;
}

/** A whole number below 2^53, into `number`. Returns the position behind it; 0 when it is another one. */
function integer(pos: usize, end: usize): usize {
  const behind = skipDigits(pos, end);
  const digits = behind - pos;
  if (digits === 0 || digits > 16 || (digits > 1 && load<u8>(pos) === 48)) return 0;
  let value: u64 = 0;
  for (; pos + 8 <= behind; pos += 8) value = value * 100000000 + eightDigits(load<u64>(pos));
  for (; pos < behind; pos++) value = value * 10 + load<u8>(pos) - 48;
  number = value;
  return value <= mostExact ? behind : 0;
}

/** The number that eight digits are: of neighbours first pairs, then fours, are made. */
function eightDigits(digits: u64): u64 {
  // biome-ignore lint/correctness/noPrecisionLoss: u64 here
  digits -= 0x3030303030303030;
  digits = digits * 10 + (digits >> 8);
  const upper = (digits & 0x000000ff000000ff) * 0x000f424000000064;
  const lower = ((digits >> 16) & 0x000000ff000000ff) * 0x0000271000000001;
  return (upper + lower) >> 32;
}

/** The text of `source.sequence`, as in `"[null,\"24\"]"`: its first number into `number`, 0 for null. */
function sequence(pos: usize, end: usize): usize {
  let lastCommit: u64 = 0;
  if (pos + 8 > end || load<u8>(pos) !== 34 || load<u8>(pos, 1) !== 91) return 0;
  pos += 2;
  if (load<u8>(pos) === 110) pos = skipWord(pos, end);
  else {
    pos = quotedInteger(pos, end);
    lastCommit = number;
  }
  if (pos === 0 || pos >= end || load<u8>(pos) !== 44) return 0;
  pos = quotedInteger(pos + 1, end);
  number = lastCommit;
  return pos !== 0 && pos + 2 <= end && load<u8>(pos) === 93 && load<u8>(pos, 1) === 34 ? pos + 2 : 0;
}

/** A whole number between escaped quotes. */
function quotedInteger(pos: usize, end: usize): usize {
  if (pos + 2 > end || load<u8>(pos) !== 92 || load<u8>(pos, 1) !== 34) return 0;
  pos = integer(pos + 2, end);
  return pos !== 0 && pos + 2 <= end && load<u8>(pos) === 92 && load<u8>(pos, 1) === 34 ? pos + 2 : 0;
}

/** Checks the value at `pos`, in `depth` containers. Returns the position behind it; 0 when it is not valid. */
function skipValue(pos: usize, end: usize, depth: i32): usize {
  if (pos >= end) return 0;
  const byte = load<u8>(pos);
  if (byte === 34) return skipString(pos + 1, end);
  if (byte === 45 || isDigit(byte)) return skipNumber(pos, end);
  if (byte === 123 || byte === 91) return skipNested(pos, end, depth);
  return skipWord(pos, end);
}

/** `null`, `true` or `false`. */
function skipWord(pos: usize, end: usize): usize {
  if (pos + 4 <= end) {
    const word = load<u32>(pos);
    if (word === 0x6c6c756e || word === 0x65757274) return pos + 4;
    if (word === 0x736c6166 && pos + 5 <= end && load<u8>(pos, 4) === 101) return pos + 5;
  }
  return 0;
}

/** `pos`: behind the opening quote. */
function skipString(pos: usize, end: usize): usize {
  while (pos < end) {
    const bytes = v128.load(pos);
    const special = specialBytes(bytes);
    if (special === 0) {
      high |= i8x16.bitmask(bytes);
      pos += 16;
      continue;
    }
    const first = ctz(special);
    high |= i8x16.bitmask(bytes) & ((1 << first) - 1);
    pos += first;
    if (pos >= end) return 0;
    const byte = load<u8>(pos);
    if (byte === 34) return pos + 1;
    if (byte !== 92) return 0;
    pos = skipEscape(pos, end);
    if (pos === 0) return 0;
  }
  return 0;
}

/** `pos`: of the backslash. Both halves of a surrogate pair are taken at once. */
function skipEscape(pos: usize, end: usize): usize {
  if (pos + 1 >= end) return 0;
  const letter = load<u8>(pos, 1);
  if (load<u8>(escapes + letter) !== 0) return pos + 2;
  if (letter !== 117 || pos + 6 > end) return 0;
  const unit = codeUnit(pos + 2);
  if (unit > 0xffff) return 0;
  if (unit < 0xd800 || unit > 0xdfff) return pos + 6;
  if (unit >= 0xdc00 || pos + 12 > end || load<u8>(pos, 6) !== 92 || load<u8>(pos, 7) !== 117) return 0;
  const low = codeUnit(pos + 8);
  return low >= 0xdc00 && low <= 0xdfff ? pos + 12 : 0;
}

/** The four hexadecimal digits at `pos`; more than 0xffff when they are not. */
function codeUnit(pos: usize): u32 {
  let unit: u32 = 0;
  for (let i = 0; i < 4; i++) {
    const byte = load<u8>(pos + i);
    const lower = byte | 32;
    if (isDigit(byte)) unit = (unit << 4) + byte - 48;
    else if (lower >= 97 && lower <= 102) unit = (unit << 4) + lower - 87;
    else return 0x10000;
  }
  return unit;
}

function isDigit(byte: u8): bool {
  return <u8>(byte - 48) < 10;
}

function skipNumber(start: usize, end: usize): usize {
  let pos = start;
  if (<u8>(load<u8>(pos) - 49) < 9) {
    pos = skipDigits(pos, end);
    if (pos >= end) return pos;
    const next = load<u8>(pos);
    if (next !== 46 && (next | 32) !== 101) return pos;
    pos = start;
  }
  if (load<u8>(pos) === 45) pos++;
  if (pos < end && load<u8>(pos) === 48) pos++;
  else {
    const digits = skipDigits(pos, end);
    if (digits === pos) return 0;
    pos = digits;
  }
  if (pos < end && load<u8>(pos) === 46) {
    const digits = skipDigits(pos + 1, end);
    if (digits === pos + 1) return 0;
    pos = digits;
  }
  if (pos < end && (load<u8>(pos) | 32) === 101) {
    pos++;
    if (pos < end && (load<u8>(pos) === 43 || load<u8>(pos) === 45)) pos++;
    const digits = skipDigits(pos, end);
    if (digits === pos) return 0;
    pos = digits;
  }
  return pos;
}

/** The position behind digits. */
function skipDigits(pos: usize, end: usize): usize {
  while (pos < end) {
    const others = i8x16.bitmask(i8x16.gt_u(i8x16.sub(v128.load(pos), i8x16.splat(48)), i8x16.splat(9)));
    if (others !== 0) return min(pos + ctz(others), end);
    pos += 16;
  }
  return end;
}

/** An object or array, without recursion. */
function skipNested(pos: usize, end: usize, depth: i32): usize {
  let inside = 0;
  while (pos < end) {
    const byte = load<u8>(pos);
    if (byte === 123 || byte === 91) {
      if (depth + inside >= maxDepth) return 0;
      store<u8>(open + inside++, byte);
      pos = skipSpace(pos + 1, end);
      if (pos >= end) return 0;
      if (load<u8>(pos) !== byte + 2) {
        if (byte === 123) pos = skipName(pos, end);
        if (pos === 0) return 0;
        continue;
      }
      inside--;
      pos++;
    } else {
      // Not a container: the depth does not matter.
      pos = skipValue(pos, end, 0);
      if (pos === 0) return 0;
    }
    for (;;) {
      if (inside === 0) return pos;
      pos = skipSpace(pos, end);
      if (pos >= end) return 0;
      const opened = load<u8>(open + inside - 1);
      if (load<u8>(pos) === 44) {
        pos = skipSpace(pos + 1, end);
        if (opened === 123) pos = skipName(pos, end);
        if (pos === 0) return 0;
        break;
      }
      if (load<u8>(pos) !== opened + 2) return 0;
      inside--;
      pos++;
    }
  }
  return 0;
}

/** A member's name, the colon and the space around it. */
function skipName(pos: usize, end: usize): usize {
  if (pos >= end || load<u8>(pos) !== 34) return 0;
  pos = skipString(pos + 1, end);
  if (pos === 0) return 0;
  pos = skipSpace(pos, end);
  if (pos >= end || load<u8>(pos) !== 58) return 0;
  return skipSpace(pos + 1, end);
}

function skipSpace(pos: usize, end: usize): usize {
  while (pos < end) {
    const byte = load<u8>(pos);
    if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) break;
    pos++;
  }
  return pos;
}

/** Whether the text at `pos` is a form of the placeholder. */
function isPlaceholder(pos: usize, length: i32): bool {
  const count = load<i32>(forms);
  let form = forms + 8;
  for (let i = 0; i < count; i++, form += 8)
    if (load<i32>(form, 4) === length && isEqual(load<usize>(form), pos, length)) return true;
  return false;
}

/** Whether an array or object is a form of the placeholder: with white space too, which a transform may add. */
function isPlaceholderToken(pos: usize, end: usize): bool {
  const texts = load<i32>(forms);
  const count = load<i32>(forms, 4);
  let form = forms + 8 + texts * 8;
  for (let i = 0; i < count; i++, form += 8)
    if (isSpaced(load<usize>(form), load<i32>(form, 4), pos, end)) return true;
  return false;
}

function isSpaced(form: usize, length: i32, pos: usize, end: usize): bool {
  if (<i32>(end - pos) < length) return false;
  let matched = 0;
  let isQuoted = false;
  for (; pos < end; pos++) {
    const byte = load<u8>(pos);
    if (matched < length && byte === load<u8>(form + matched)) {
      if (byte === 34 && (matched === 0 || load<u8>(form + matched - 1) !== 92)) isQuoted = !isQuoted;
      matched++;
    } else if (byte > 32 || isQuoted) return false;
  }
  return matched === length;
}
