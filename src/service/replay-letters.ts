import type { Config } from '../config.ts';
import type { PoisonMessage } from '../core/batch.ts';
import { asCdcError } from '../core/errors.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { type DeadLetter, letterOwner, messageOfLetter } from '../sinks/clickhouse/dead-letter.ts';
import { DeadLetters, type LetterFilter } from '../sinks/clickhouse/dead-letters.ts';
import type { Outcome } from './letter-table.ts';
import { LetterTables } from './letter-tables.ts';

/** Reads a message once more and writes what it says. Resolves when that is durable; throws why it still cannot be read. */
export type ReplayMessage = (message: PoisonMessage) => Promise<void>;

export interface ReplayOptions {
  config: Config;
  clickhouse: ClickHouse;
  filter: LetterFilter;
  /** How the mode reads messages; throws in modes that have none. */
  replayMessage: ReplayMessage;
  signal: AbortSignal;
}

export interface ReplayResult {
  replayed: number;
  superseded: number;
  /** Those that stay open, with the reason of now. */
  failed: { id: string; table: string; code: string; reason: string; hint: string }[];
}

/**
 * Writes what is in letters, with the configuration of now. Each row has its own version: beside a service that runs nothing
 * newer is lost, and twice is as good as once.
 */
export async function replayLetters(options: ReplayOptions): Promise<ReplayResult> {
  const { config, clickhouse, filter, signal } = options;
  const letters = new DeadLetters(clickhouse, config.pipeline);
  const tables = new LetterTables(clickhouse, config);
  const result: ReplayResult = { replayed: 0, superseded: 0, failed: [] };
  for await (const page of letters.pages(filter)) {
    if (signal.aborted) break;
    const outcomes = new Map<DeadLetter, Outcome>();
    for (const [owner, own] of Map.groupBy(page, letterOwner)) {
      const found =
        own[0]!.op === 'message' ? await replayMessages(own, options) : await tables.write(owner, own);
      for (const [letter, outcome] of found) outcomes.set(letter, outcome);
    }
    await settle(letters, outcomes, result);
  }
  return result;
}

async function settle(
  letters: DeadLetters,
  outcomes: ReadonlyMap<DeadLetter, Outcome>,
  result: ReplayResult,
): Promise<void> {
  const idsOf = (wanted: Outcome) =>
    [...outcomes].flatMap(([{ id }, outcome]) => (outcome === wanted ? [id] : []));
  const replayed = idsOf('replayed');
  const superseded = idsOf('superseded');
  if (replayed.length > 0) await letters.settle({ ids: replayed }, 'replayed');
  if (superseded.length > 0) await letters.settle({ ids: superseded }, 'superseded');
  const nowUs = BigInt(Date.now()) * 1000n;
  const open: DeadLetter[] = [];
  for (const [letter, outcome] of outcomes) {
    if (typeof outcome === 'string') continue;
    const { code, message: reason, hint } = outcome;
    result.failed.push({ id: letter.id, table: letterOwner(letter), code, reason, hint });
    const revision = letter.revision < nowUs ? nowUs : letter.revision + 1n;
    open.push({ ...letter, state: 'open', stateAtUs: nowUs, revision, code, reason, hint });
  }
  await letters.write(open);
  result.replayed += replayed.length;
  result.superseded += superseded.length;
}

async function replayMessages(
  letters: readonly DeadLetter[],
  { replayMessage }: ReplayOptions,
): Promise<Map<DeadLetter, Outcome>> {
  const outcomes = new Map<DeadLetter, Outcome>();
  for (const letter of letters) {
    try {
      await replayMessage(messageOfLetter(letter));
      outcomes.set(letter, 'replayed');
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.action === 'retry') throw failure;
      outcomes.set(letter, failure);
    }
  }
  return outcomes;
}
