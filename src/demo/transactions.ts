import type { Client, QueryResult } from 'pg';
import type { Random } from './random.ts';
import { seededCustomers, seededProducts } from './schema.ts';

/** One connection of the demo's application with the rows that it made, so that connections rarely meet. */
export interface Session {
  client: Client;
  random: Random;
  users: readonly string[];
  /** Ids of its rows in `user_events`; bigint as text. */
  events: Pool<string>;
  orders: Pool<OrderKey>;
  /** What the transaction at hand changed; the caller empties it. */
  changed: RowCounts;
  /** Duration of a commit; of a statement that is a transaction by itself, all of it. */
  onCommit(durationMs: number): void;
}

/** Rows by statement; cascades are not counted. */
export interface RowCounts {
  insert: number;
  update: number;
  delete: number;
}

export interface OrderKey {
  id: string;
  /** PostgreSQL's text, for its microseconds. */
  createdAt: string;
}

/** A bounded bag of keys. */
export class Pool<T> {
  readonly #items: T[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** When full, the new key takes the place of another one. */
  add(item: T, random: Random): void {
    const index = this.#items.length < this.#limit ? this.#items.length : random.below(this.#limit);
    this.#items[index] = item;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Of a pool that is not empty. */
  any(random: Random): T {
    return this.#items[random.below(this.#items.length)];
  }

  /** Out of a pool that is not empty. */
  take(random: Random): T {
    const index = random.below(this.#items.length);
    const item = this.#items[index];
    const last = this.#items.pop() as T;
    if (index < this.#items.length) this.#items[index] = last;
    return item;
  }
}

type Operation = keyof RowCounts;

/** Named, so that PostgreSQL parses and plans it once per connection. */
interface Statement {
  name: string;
  operation: Operation;
  text: string;
}

function statement(name: string, operation: Operation, text: string): Statement {
  return { name, operation, text };
}

const insertEventSql = statement(
  'insert_event',
  'insert',
  `INSERT INTO user_events (user_id, event_type, payload, amount, occurred_at)
   VALUES ($1, $2, $3, $4, now()) RETURNING id`,
);
const insertEventsSql = statement(
  'insert_events',
  'insert',
  `INSERT INTO user_events (user_id, event_type, payload, amount, occurred_at)
   SELECT *, now() FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::numeric[]) RETURNING id`,
);
const correctEventSql = statement(
  'correct_event',
  'update',
  `UPDATE user_events SET amount = $2, payload = payload || '{"corrected": true}' WHERE id = $1`,
);
const rekeyEventSql = statement(
  'rekey_event',
  'update',
  `UPDATE user_events SET id = nextval('user_events_id_seq') WHERE id = $1 RETURNING id`,
);
const deleteEventsSql = statement(
  'delete_events',
  'delete',
  'DELETE FROM user_events WHERE id = ANY ($1::bigint[])',
);
const priceProductSql = statement(
  'price_product',
  'update',
  'UPDATE products SET price = $2, updated_at = now() WHERE id = $1',
);
const describeProductSql = statement(
  'describe_product',
  'update',
  'UPDATE products SET description = overlay(description PLACING $2 FROM 1), updated_at = now() WHERE id = $1',
);
const takeStockSql = statement(
  'take_stock',
  'update',
  'UPDATE products SET stock = CASE WHEN stock < $2 THEN 1000 ELSE stock - $2 END WHERE id = $1 RETURNING price',
);
const insertCustomerSql = statement(
  'insert_customer',
  'insert',
  `INSERT INTO customers (id, email, name)
   SELECT id, format('customer%s@example.com', id), $1 FROM nextval('customers_id_seq') id`,
);
const creditCustomerSql = statement(
  'credit_customer',
  'update',
  'UPDATE customers SET balance = balance + $2 WHERE id = $1',
);
const insertOrderSql = statement(
  'insert_order',
  'insert',
  'INSERT INTO orders (customer_id, total, note) VALUES ($1, $2, $3) RETURNING id, created_at::text AS "createdAt"',
);
const insertItemsSql = statement(
  'insert_items',
  'insert',
  `INSERT INTO order_items
   SELECT $1, $2, line, product, quantity, price
   FROM unnest($3::int[], $4::int[], $5::numeric[]) WITH ORDINALITY AS item (product, quantity, price, line)`,
);
const advanceOrderSql = statement(
  'advance_order',
  'update',
  'UPDATE orders SET status = $3 WHERE id = $1 AND created_at = $2',
);
const moveOrderSql = statement(
  'move_order',
  'update',
  `UPDATE orders SET created_at = created_at - interval '31 days' WHERE id = $1 AND created_at = $2
   RETURNING id, created_at::text AS "createdAt"`,
);
const deleteOrderSql = statement(
  'delete_order',
  'delete',
  'DELETE FROM orders WHERE id = $1 AND created_at = $2',
);
const insertAuditSql = statement(
  'insert_audit',
  'insert',
  'INSERT INTO audit_log (actor, action, detail) VALUES ($1, $2, $3)',
);

interface Transaction {
  /** Its share, relative to the others. */
  weight: number;
  /** The pool that must not be empty. */
  needs?: 'events' | 'orders';
  run(session: Session): Promise<void>;
}

/** What the application does. */
export const transactions = {
  insertEvent: { weight: 50, run: insertEvent },
  insertEvents: { weight: 10, run: insertEvents },
  correctEvent: { weight: 8, needs: 'events', run: correctEvent },
  rekeyEvent: { weight: 0.5, needs: 'events', run: rekeyEvent },
  deleteEvents: { weight: 3, needs: 'events', run: deleteEvents },
  priceProduct: { weight: 7, run: priceProduct },
  describeProduct: { weight: 0.5, run: describeProduct },
  insertCustomer: { weight: 1, run: insertCustomer },
  creditCustomer: { weight: 5, run: creditCustomer },
  placeOrder: { weight: 7, run: placeOrder },
  abandonOrder: { weight: 0.5, run: abandonOrder },
  advanceOrder: { weight: 5.5, needs: 'orders', run: advanceOrder },
  moveOrder: { weight: 0.5, needs: 'orders', run: moveOrder },
  cancelOrder: { weight: 1.5, needs: 'orders', run: cancelOrder },
} satisfies Record<string, Transaction>;

export type TransactionKind = keyof typeof transactions;
export const transactionKinds = Object.keys(transactions) as TransactionKind[];

const totalWeight = transactionKinds.reduce((sum, kind) => sum + transactions[kind].weight, 0);

/** By weight; while a pool is still empty, what fills it comes instead of what needs it. */
export function pickTransaction(session: Session): TransactionKind {
  let left = (session.random.uint32() / 2 ** 32) * totalWeight;
  const picked = transactionKinds.find(kind => (left -= transactions[kind].weight) < 0) ?? 'insertEvent';
  const { needs }: Transaction = transactions[picked];
  if (needs === undefined || session[needs].size > 0) return picked;
  return needs === 'events' ? 'insertEvent' : 'placeOrder';
}

async function insertEvent(session: Session): Promise<void> {
  const event = newEvent(session);
  const { rows } = await autocommit(session, insertEventSql, [
    event.userId,
    event.type,
    event.payload,
    event.amount,
  ]);
  session.events.add(rows[0].id, session.random);
}

async function insertEvents(session: Session): Promise<void> {
  const events = Array.from({ length: 2 + session.random.below(9) }, () => newEvent(session));
  const { rows } = await autocommit(session, insertEventsSql, [
    events.map(event => event.userId),
    events.map(event => event.type),
    events.map(event => event.payload),
    events.map(event => event.amount),
  ]);
  for (const row of rows) session.events.add(row.id, session.random);
}

async function correctEvent(session: Session): Promise<void> {
  const id = session.events.any(session.random);
  await autocommit(session, correctEventSql, [id, money(session.random, 50_000)]);
}

async function rekeyEvent(session: Session): Promise<void> {
  const id = session.events.take(session.random);
  const { rows } = await autocommit(session, rekeyEventSql, [id]);
  if (rows.length > 0) session.events.add(rows[0].id, session.random);
}

async function deleteEvents(session: Session): Promise<void> {
  const { events, random } = session;
  const count = Math.min(events.size, 1 + random.below(3));
  await autocommit(session, deleteEventsSql, [Array.from({ length: count }, () => events.take(random))]);
}

/** Leaves the large description unchanged. */
async function priceProduct(session: Session): Promise<void> {
  const { random } = session;
  await autocommit(session, priceProductSql, [1 + random.below(seededProducts), money(random, 20_000)]);
}

async function describeProduct(session: Session): Promise<void> {
  const { random } = session;
  await autocommit(session, describeProductSql, [
    1 + random.below(seededProducts),
    `Edition ${random.uuid()} – neu: `,
  ]);
}

async function insertCustomer(session: Session): Promise<void> {
  await autocommit(session, insertCustomerSql, [
    session.random.pick(['Zoë', 'Åsa', '李雷', 'Ольга', "O'Neil"]),
  ]);
}

async function creditCustomer(session: Session): Promise<void> {
  const { random } = session;
  await autocommit(session, creditCustomerSql, [1 + random.below(seededCustomers), money(random, 10_000)]);
}

/** Order, items, stock and audit log in one transaction. */
async function placeOrder(session: Session): Promise<void> {
  const order = await inTransaction(session, async () => {
    const placed = await writeOrder(session);
    await audit(session, 'order.placed', placed);
    return placed;
  });
  session.orders.add(order, session.random);
}

/** A transaction that is rolled back: nothing of it may ever be seen. */
async function abandonOrder(session: Session): Promise<void> {
  await session.client.query('BEGIN');
  try {
    await writeOrder(session);
  } finally {
    await session.client.query('ROLLBACK');
    session.changed = { insert: 0, update: 0, delete: 0 };
  }
}

async function advanceOrder(session: Session): Promise<void> {
  const order = session.orders.any(session.random);
  const status = session.random.pick(['paid', 'shipped', 'delivered', 'returned']);
  await autocommit(session, advanceOrderSql, [order.id, order.createdAt, status]);
}

/** Changes the key, which moves the order to another partition and its items after it. */
async function moveOrder(session: Session): Promise<void> {
  const order = session.orders.take(session.random);
  const { rows } = await autocommit(session, moveOrderSql, [order.id, order.createdAt]);
  if (rows.length > 0) session.orders.add(rows[0], session.random);
}

/** The items go by cascade. */
async function cancelOrder(session: Session): Promise<void> {
  const order = session.orders.take(session.random);
  await inTransaction(session, async () => {
    await query(session, deleteOrderSql, [order.id, order.createdAt]);
    await audit(session, 'order.cancelled', order);
  });
}

async function writeOrder(session: Session): Promise<OrderKey> {
  const { random } = session;
  // In the order of their ids: two transactions that want the same products wait rather than deadlock.
  const products = new Set(
    Array.from({ length: 1 + random.below(4) }, () => 1 + random.below(seededProducts)),
  );
  const ids = [...products].sort((a, b) => a - b);
  const quantities = ids.map(() => 1 + random.below(5));
  const prices: string[] = [];
  for (const [index, id] of ids.entries()) {
    const { rows } = await query(session, takeStockSql, [id, quantities[index]]);
    prices.push(rows[0].price);
  }
  const total = prices.reduce((sum, price, index) => sum + Number(price) * quantities[index], 0);
  const note = random.below(4) === 0 ? 'Bitte klingeln 🔔' : null;
  const { rows } = await query(session, insertOrderSql, [
    1 + random.below(seededCustomers),
    total.toFixed(2),
    note,
  ]);
  const order: OrderKey = rows[0];
  await query(session, insertItemsSql, [order.id, order.createdAt, ids, quantities, prices]);
  return order;
}

async function audit(session: Session, action: string, order: OrderKey): Promise<void> {
  await query(session, insertAuditSql, ['shop', action, JSON.stringify({ order: order.id })]);
}

interface NewEvent {
  userId: string;
  type: string;
  payload: string;
  amount: string | null;
}

const eventTypes = ['page_view', 'page_view', 'page_view', 'search', 'add_to_cart', 'purchase', 'refund'];

function newEvent({ random, users }: Session): NewEvent {
  const type = random.pick(eventTypes);
  const isPaid = type === 'purchase' || type === 'refund';
  const payload = {
    page: `/products/${random.below(seededProducts)}`,
    step: random.below(1000),
    device: 'phone 📱',
  };
  return {
    userId: random.pick(users),
    type,
    payload: JSON.stringify(payload),
    amount: isPaid ? money(random, 50_000) : null,
  };
}

/** A decimal with two places below `cents` / 100. */
function money(random: Random, cents: number): string {
  return (random.below(cents) / 100).toFixed(2);
}

async function autocommit(session: Session, statement: Statement, values: unknown[]) {
  const startedAt = performance.now();
  const result = await query(session, statement, values);
  session.onCommit(performance.now() - startedAt);
  return result;
}

async function inTransaction<T>(session: Session, body: () => Promise<T>): Promise<T> {
  await session.client.query('BEGIN');
  try {
    const result = await body();
    const startedAt = performance.now();
    await session.client.query('COMMIT');
    session.onCommit(performance.now() - startedAt);
    return result;
  } catch (error) {
    await session.client.query('ROLLBACK').catch(() => {}); // the connection may be what failed
    throw error;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: rows have the shape that the statement says
async function query(session: Session, statement: Statement, values: unknown[]): Promise<QueryResult<any>> {
  const result = await session.client.query({ name: statement.name, text: statement.text, values });
  session.changed[statement.operation] += result.rowCount ?? 0;
  return result;
}
