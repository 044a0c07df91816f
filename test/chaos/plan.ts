import type { CrashPoint } from '../../src/core/crash-point.ts';
import { Random } from '../../src/demo/random.ts';

/** How tables come to be copied again before a crash in their copy. */
export type Recopy =
  /** As `wal-cdc resync` does: behind the live table, which goes on. */
  | 'resync'
  /** The ClickHouse table is gone: copied into a new one. */
  | 'drop'
  /** Nothing is known about the table but it has rows: copied behind it, and it takes no changes meanwhile. */
  | 'forget';

export type Kill =
  | { kind: 'service at a crash point'; point: CrashPoint; passage: number; recopy?: Recopy }
  | { kind: 'service at a random time'; recopy?: Recopy }
  | { kind: 'service stopped by SIGTERM' }
  | { kind: 'clickhouse' }
  | { kind: 'answer of clickhouse lost' }
  | { kind: 'walsender terminated' }
  | { kind: 'backend killed, all backends restart' }
  | { kind: 'postgres stopped immediately' }
  | { kind: 'postmaster killed' }
  | { kind: 'postgres stopped fast' };

export interface PlannedKill {
  kill: Kill;
  /** How long things go well before it. */
  afterMs: number;
  /** How long a server stays away. */
  awayMs: number;
}

/** `service at before-insert`, for the table at the end. */
export function killName(kill: Kill): string {
  return kill.kind === 'service at a crash point' ? `service at ${kill.point}` : kill.kind;
}

const point = (name: CrashPoint, passages: number, recopy = false) => ({ point: name, passages, recopy });
const points = [
  point('before-insert', 6),
  point('after-insert', 6),
  point('dead-letters', 6),
  point('after-checkpoint', 4),
  point('copy-chunk', 10, true),
  point('copy-exchange', 2, true),
  point('copy-exchanged', 2, true),
  point('truncate', 2),
  point('toast-lookup', 4),
];
const others = [
  'service at a random time',
  'clickhouse',
  'walsender terminated',
  'backend killed, all backends restart',
  'answer of clickhouse lost',
  'postgres stopped immediately',
  'service stopped by SIGTERM',
  'postmaster killed',
  'postgres stopped fast',
] as const;

/** Every kind comes before one comes again. */
export function planKills(seed: number, count: number): PlannedKill[] {
  const random = new Random(seed, 3000);
  const recopy = (...ways: Recopy[]) => random.pick(ways);
  const plan: PlannedKill[] = [];
  while (plan.length < count) {
    const deck: Kill[] = [
      ...points.map(
        ({ point, passages, recopy: copies }): Kill => ({
          kind: 'service at a crash point',
          point,
          passage: 1 + random.below(passages),
          ...(copies ? { recopy: recopy('resync', 'forget') } : {}),
        }),
      ),
      ...others.map((kind): Kill => ({ kind })),
      { kind: 'service at a random time', recopy: recopy('resync', 'drop', 'forget') },
    ];
    for (let left = deck.length; left > 0; left--) {
      const [kill] = deck.splice(random.below(left), 1);
      plan.push({ kill: kill!, afterMs: random.below(1200), awayMs: random.below(1500) });
    }
  }
  return plan.slice(0, count);
}
