import { below, derive, hash, share } from './hash.ts';

export const eventTypes = [
  'page_view',
  'search',
  'login',
  'add_to_cart',
  'checkout',
  'purchase',
  'refund',
] as const;
const letters = 'vslacpr';
export const EventType = {
  view: 0,
  search: 1,
  login: 2,
  add: 3,
  checkout: 4,
  purchase: 5,
  refund: 6,
} as const;

/** What a user does in one visit, a letter for each event, and how often such a visit is among all. */
const scripts: [visit: string, weight: number][] = [
  ['v', 26],
  ['vv', 16],
  ['vvv', 9],
  ['vsv', 7],
  ['svv', 7],
  ['svsvv', 4],
  ['lvvsvv', 4],
  ['vvsvvvv', 4],
  ['vva', 4],
  ['svav', 4],
  ['lvsvavv', 3],
  ['vavvac', 2],
  ['lvvac', 2],
  ['vacp', 2],
  ['svvacp', 2],
  ['lvavacpv', 2],
  ['lsvvavsvacp', 1],
  ['lvavsvavvacpv', 1],
  ['lvr', 0.4],
  ['lvvsvr', 0.2],
];

/** Visits of one lane, one after the other; what does not fit any more is broken off. */
const laneEvents = 32;
const patterns = 1024;
/** Events of a visit come about this far apart, while others have theirs. */
const eventsPerUserAndDay = 10;
const visitStepUs = 30_000_000;
export const dayUs = 86_400_000_000;

export interface VisitOptions {
  seed: number;
  users: number;
}

/**
 * Who does what at the insert of an id, without a look at other ids. Visits go on side by side in lanes, which take turns; a
 * lane goes through stretches of 32 events, each of which is one of a thousand prepared sequences of visits.
 */
export class Visits {
  /** Of the id that `at` was asked for last. */
  type = 0;
  /** Hash of the visit, and of the event in it. */
  visit = 0;
  event = 0;
  /** Number of the event in its visit, from 0. */
  step = 0;
  /** Number of the user, from 0; low ones come more often. */
  user = 0;
  /** µs since the first event. */
  timeUs = 0;
  readonly #seed: number;
  readonly #users: number;
  readonly #lanes: number;
  readonly #spacingUs: number;
  readonly #types = new Uint8Array(patterns * laneEvents);
  /** Place of the first event of the visit. */
  readonly #starts = new Uint8Array(patterns * laneEvents);
  #pattern = 0;

  constructor({ seed, users }: VisitOptions) {
    this.#seed = derive(hash(0, seed), 2);
    this.#users = users;
    this.#spacingUs = dayUs / (users * eventsPerUserAndDay);
    this.#lanes = Math.max(1, Math.round(visitStepUs / this.#spacingUs));
    this.#prepare();
  }

  at(id: number): void {
    const index = id - 1;
    const turn = Math.floor(index / this.#lanes);
    const lane = index - turn * this.#lanes;
    const stretch = Math.floor(turn / laneEvents);
    const place = turn - stretch * laneEvents;
    const stretchHash = hash(hash(this.#seed, lane), stretch);
    const pattern = below(derive(stretchHash, 0), patterns) * laneEvents;
    const start = this.#starts[pattern + place]!;
    this.#pattern = pattern + start;
    this.type = this.#types[pattern + place]!;
    this.step = place - start;
    this.visit = derive(stretchHash, 1 + start);
    this.event = derive(this.visit, this.step);
    // A few users are much busier than the others.
    const luck = share(derive(this.visit, 100));
    this.user = Math.floor(luck * luck * this.#users);
    this.timeUs = wallTime((index + share(derive(this.event, 100))) * this.#spacingUs);
  }

  /** The type of an earlier event of the visit. */
  typeAt(step: number): number {
    return this.#types[this.#pattern + step]!;
  }

  eventAt(step: number): number {
    return derive(this.visit, step);
  }

  /** A hash for a user. */
  userHash(use: number): number {
    return derive(hash(this.#seed, this.user), 1000 + use);
  }

  #prepare(): void {
    const total = scripts.reduce((sum, [, weight]) => sum + weight, 0);
    for (let pattern = 0; pattern < patterns; pattern++) {
      const seed = derive(hash(this.#seed, pattern), 3);
      let place = 0;
      for (let visit = 0; place < laneEvents; visit++) {
        let left = share(derive(seed, visit)) * total;
        const [script] = scripts.find(([, weight]) => (left -= weight) < 0) ?? scripts[0]!;
        for (let step = 0; step < script.length && place < laneEvents; step++, place++) {
          this.#types[pattern * laneEvents + place] = letters.indexOf(script[step]!);
          this.#starts[pattern * laneEvents + place] = place - step;
        }
      }
    }
  }
}

/** Events by hour of the day (UTC), in 96ths of a day's. */
export const hourWeights = [2, 1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 6, 3];
const parts = 96;
const partUs = dayUs / parts;
const partStartsUs = new Float64Array(parts);
const partStretch = new Float64Array(parts);
for (const [hour, weight] of hourWeights.entries()) {
  const before = hourWeights.slice(0, hour).reduce((sum, each) => sum + each, 0);
  for (let i = 0; i < weight; i++) {
    partStartsUs[before + i] = (hour + i / weight) * 3_600_000_000;
    partStretch[before + i] = parts / 24 / weight;
  }
}

/** Makes time pass quickly at night, when little happens, and slowly in the evening. */
function wallTime(evenUs: number): number {
  const day = Math.floor(evenUs / dayUs);
  const inDay = evenUs - day * dayUs;
  // Rounding may lead out of the day by less than a microsecond.
  const part = Math.min(parts - 1, Math.max(0, Math.floor(inDay / partUs)));
  return Math.floor(day * dayUs + partStartsUs[part]! + (inDay - part * partUs) * partStretch[part]!);
}
