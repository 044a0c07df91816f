import type { ByteWriter } from '../../core/byte-writer.ts';
import { below, derive, share } from './hash.ts';
import { EventType, type Visits } from './visits.ts';

const products = 500;
/** Uses of an event's hash. */
const use = {
  product: 0,
  quantity: 1,
  referrer: 2,
  query: 3,
  results: 4,
  order: 5,
  payment: 6,
  reason: 7,
  method: 8,
};

/** JSON strings, as they go into the payload. */
const texts = (...list: string[]) => list.map(text => Buffer.from(JSON.stringify(text)));
const devices = texts('phone', 'phone', 'phone', 'desktop', 'desktop', 'tablet');
const countries = texts('DE', 'DE', 'DE', 'FR', 'FR', 'US', 'US', 'GB', 'PL', 'ES', 'JP', 'BR');
const referrers = texts(
  'https://www.google.com/',
  'https://www.google.com/',
  'https://duckduckgo.com/?q=caf%C3%A9',
  'newsletter',
  'https://news.example.org/2025/gift-guide',
);
const queries = texts(
  'running shoes',
  'coffee grinder',
  'größe 42 wanderschuhe',
  'café crème 250 g',
  'usb-c cable 2 m',
  '15" laptop sleeve',
  'ランニングシューズ',
  'birthday 🎂',
  'desk lamp',
  'kids raincoat',
  'c:\\ drive',
  'olive oil',
);
const payments = texts('card', 'card', 'card', 'paypal', 'invoice', 'transfer');
const reasons = texts('damaged', 'too small', 'too large', 'changed my mind', 'late');
const methods = texts('password', 'password', 'passkey', 'google');

const word = (text: string) => Buffer.from(text);
const w = {
  page: word('{"path": "/products/'),
  pageEnd: word('", "device": '),
  query: word('{"query": '),
  price: word('{"price": '),
  method: word(', "method": '),
  items: word('{"items": '),
  order: word('{"order": "'),
  orderInside: word(', "order": "'),
  orderEnd: word('", "device": '),
  total: word(', "total": '),
  deviceFirst: word('{"device": '),
  device: word(', "device": '),
  reason: word(', "reason": '),
  status: word(', "status": "'),
  clicked: word(', "clicked": '),
  country: word(', "country": '),
  payment: word(', "payment": '),
  product: word(', "product": '),
  removed: word(', "removed": true'),
  results: word(', "results": '),
  session: word(', "session": "'),
  currency: word(', "currency": "EUR"'),
  dwell: word(', "dwell_ms": '),
  quantity: word(', "quantity": '),
  referrer: word(', "referrer": '),
  quote: word('"'),
  end: word('}'),
};
const statuses = [word('paid"'), word('shipped"'), word('delivered"'), word('disputed"')];

/**
 * Appends the payload of the event that `visits` stands at, as jsonb prints it: shorter keys first, those of one length in
 * alphabetical order. `revision` is a hash for an update, which adds to the payload, and 0 for an insert.
 */
export function writePayload(visits: Visits, revision: number, out: ByteWriter): void {
  const { type, event } = visits;
  const updated = revision !== 0;
  switch (type) {
    case EventType.view:
      put(out, w.page);
      writeDecimal(out, productOf(event));
      put(out, w.pageEnd);
      pick(out, devices, visits.userHash(0));
      writePlace(visits, out);
      if (updated) {
        put(out, w.dwell);
        writeDecimal(out, 200 + below(revision, 120_000));
      }
      if (visits.step === 0) {
        put(out, w.referrer);
        pick(out, referrers, derive(event, use.referrer));
      }
      break;
    case EventType.search:
      put(out, w.query);
      pick(out, queries, derive(event, use.query));
      put(out, w.device);
      pick(out, devices, visits.userHash(0));
      if (updated) {
        put(out, w.clicked);
        writeDecimal(out, 1 + below(revision, 10));
      }
      put(out, w.country);
      pick(out, countries, visits.userHash(1));
      put(out, w.results);
      writeDecimal(out, below(derive(event, use.results), 300));
      writeSession(visits, out);
      break;
    case EventType.login:
      put(out, w.deviceFirst);
      pick(out, devices, visits.userHash(0));
      put(out, w.method);
      pick(out, methods, derive(event, use.method));
      if (updated) writeStatus(revision, out);
      writePlace(visits, out);
      break;
    case EventType.add:
      put(out, w.price);
      writeCents(out, priceOf(productOf(event)));
      put(out, w.device);
      pick(out, devices, visits.userHash(0));
      put(out, w.country);
      pick(out, countries, visits.userHash(1));
      put(out, w.product);
      writeDecimal(out, productOf(event));
      if (updated) put(out, w.removed);
      writeSession(visits, out);
      put(out, w.quantity);
      writeDecimal(out, quantityOf(event));
      break;
    case EventType.checkout:
      put(out, w.items);
      writeDecimal(out, cartItems(visits));
      put(out, w.total);
      writeCents(out, cartCents(visits));
      put(out, w.device);
      pick(out, devices, visits.userHash(0));
      if (updated) writeStatus(revision, out);
      writePlace(visits, out);
      break;
    case EventType.purchase:
      put(out, w.items);
      writeDecimal(out, cartItems(visits));
      put(out, w.orderInside);
      writeHex(out, derive(event, use.order));
      put(out, w.orderEnd);
      pick(out, devices, visits.userHash(0));
      if (updated) writeStatus(revision, out);
      put(out, w.country);
      pick(out, countries, visits.userHash(1));
      put(out, w.payment);
      pick(out, payments, derive(event, use.payment));
      writeSession(visits, out);
      put(out, w.currency);
      break;
    default:
      put(out, w.order);
      writeHex(out, derive(event, use.order));
      put(out, w.orderEnd);
      pick(out, devices, visits.userHash(0));
      put(out, w.reason);
      pick(out, reasons, derive(event, use.reason));
      if (updated) writeStatus(revision, out);
      writePlace(visits, out);
      put(out, w.currency);
  }
  put(out, w.end);
}

/** What was paid, in cents; undefined for an event without amount. */
export function amountOf(visits: Visits, revision: number): number | undefined {
  const { type, event } = visits;
  if (type === EventType.purchase) {
    const cents = cartCents(visits);
    // Some are paid back in part.
    return revision !== 0 && share(revision) < 0.2 ? Math.ceil(cents * 0.9) : cents;
  }
  if (type === EventType.refund) return -priceOf(productOf(event)) * quantityOf(event);
  return undefined;
}

function cartCents(visits: Visits): number {
  let cents = 0;
  for (let step = 0; step < visits.step; step++) {
    if (visits.typeAt(step) !== EventType.add) continue;
    const event = visits.eventAt(step);
    cents += priceOf(productOf(event)) * quantityOf(event);
  }
  return cents;
}

function cartItems(visits: Visits): number {
  let items = 0;
  for (let step = 0; step < visits.step; step++)
    if (visits.typeAt(step) === EventType.add) items += quantityOf(visits.eventAt(step));
  return items;
}

/** Low numbers sell better. */
function productOf(event: number): number {
  const luck = share(derive(event, use.product));
  return 1 + Math.floor(luck * luck * products);
}

/** Cents; the catalog is the same for every seed. */
function priceOf(product: number): number {
  const luck = share(derive(product, 50));
  return 199 + Math.floor(luck * luck * luck * 40_000);
}

function quantityOf(event: number): number {
  return 1 + Math.floor(share(derive(event, use.quantity)) ** 3 * 3);
}

function writePlace(visits: Visits, out: ByteWriter): void {
  put(out, w.country);
  pick(out, countries, visits.userHash(1));
  writeSession(visits, out);
}

function writeSession(visits: Visits, out: ByteWriter): void {
  put(out, w.session);
  writeHex(out, visits.visit);
  put(out, w.quote);
}

function writeStatus(revision: number, out: ByteWriter): void {
  put(out, w.status);
  pick(out, statuses, revision);
}

function put(out: ByteWriter, text: Buffer): void {
  out.writeBytes(text, 0, text.length);
}

function pick(out: ByteWriter, list: readonly Buffer[], hashed: number): void {
  put(out, list[below(hashed, list.length)]!);
}

function writeCents(out: ByteWriter, cents: number): void {
  const whole = Math.floor(cents / 100);
  writeDecimal(out, whole);
  out.reserve(3);
  const { buf, pos } = out;
  const rest = cents - whole * 100;
  const tens = Math.floor(rest / 10);
  buf[pos] = 46;
  buf[pos + 1] = 48 + tens;
  buf[pos + 2] = 48 + rest - tens * 10;
  out.pos = pos + 3;
}

/** A whole number below 10^9. */
function writeDecimal(out: ByteWriter, value: number): void {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  out.reserve(digits);
  const { buf } = out;
  let at = (out.pos += digits);
  let rest = value;
  for (; digits > 0; digits--) {
    const shorter = Math.floor(rest / 10);
    buf[--at] = 48 + rest - shorter * 10;
    rest = shorter;
  }
}

function writeHex(out: ByteWriter, value: number): void {
  out.reserve(8);
  const { buf, pos } = out;
  for (let i = 0; i < 8; i++) {
    const digit = (value >>> (28 - 4 * i)) & 15;
    buf[pos + i] = digit < 10 ? 48 + digit : 87 + digit;
  }
  out.pos = pos + 8;
}
