import { matchesPattern, parsePattern, unmatchedPatterns } from '../config/table-patterns.ts';
import { throws } from '../config/value-types.ts';
import type { Config } from '../config.ts';
import type { PoisonMessage } from '../core/batch.ts';
import { CdcError } from '../core/errors.ts';
import { formatCount } from '../observe/format-status.ts';
import { createLog } from '../observe/log.ts';
import {
  type ClickHouseAddress,
  connectClickHouse,
  findClickHouse,
  openClickHouse,
} from '../service/clickhouse-address.ts';
import type { MessageReplay } from '../service/message-replay.ts';
import { type ReplayMessage, type ReplayResult, replayLetters } from '../service/replay-letters.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import type { LetterState } from '../sinks/clickhouse/dead-letter.ts';
import { DeadLetters, type LetterFilter, type LetterSummary } from '../sinks/clickhouse/dead-letters.ts';
import { formatLetter, formatLetters, letterAsJson } from './format-letters.ts';
import { leaveOnStop } from './leave-on-stop.ts';

export interface ListOptions {
  /** Patterns. */
  table?: string[];
  limit: number;
  state: LetterState | 'all';
  json?: boolean;
}

/** IDs, patterns of tables, or all; one of them. */
export interface ChosenLetters {
  ids: string[];
  table?: string[];
  all?: boolean;
  json?: boolean;
}

/** Failures that are printed; `--json` has them all. */
const shownFailures = 10;

export async function listLetters(config: Config, options: ListOptions, stop: AbortSignal): Promise<number> {
  leaveOnStop(stop);
  const print = (found: LetterSummary[], total: number) => {
    if (options.json) write(JSON.stringify({ total, letters: found }));
    else write(formatLetters(found, total, options.state));
    return 0;
  };
  return withLetters(
    config,
    () => print([], 0),
    async letters => {
      const filter: LetterFilter = {
        ...(options.state === 'all' ? {} : { states: [options.state] }),
        ...(await tablesFilter(letters, options.table)),
      };
      return print(await letters.list(filter, options.limit), await letters.count(filter));
    },
  );
}

export async function showLetter(
  config: Config,
  { id, json }: { id: string; json: boolean },
  stop: AbortSignal,
): Promise<number> {
  leaveOnStop(stop);
  const unknown = () => {
    throw unknownLetter(config, id);
  };
  return withLetters(config, unknown, async letters => {
    const [letter] = await letters.read({ ids: [await wholeId(config, letters, id)] });
    write(json ? JSON.stringify(letterAsJson(letter!)) : formatLetter(letter!));
    return 0;
  });
}

/** Exit code 4 when some of them stay open. */
export async function replayOpenLetters(
  config: Config,
  chosen: ChosenLetters,
  stop: AbortSignal,
): Promise<number> {
  const none = () => {
    write(formatReplay({ replayed: 0, superseded: 0, failed: [] }));
    return 0;
  };
  return withLetters(config, none, async (letters, clickhouse, address) => {
    const filter = await chosenLetters(config, letters, chosen);
    const messages = new LazyMessageReplay(config, address);
    const replayMessage: ReplayMessage = message => messages.replay(message);
    const result = await replayLetters({ config, clickhouse, filter, replayMessage, signal: stop }).finally(
      () => messages.close(),
    );
    if (stop.aborted) process.stderr.write('interrupted: not all of them were looked at\n');
    write(chosen.json ? JSON.stringify(result) : formatReplay(result));
    if (stop.aborted) return 130;
    return result.failed.length > 0 ? 4 : 0;
  });
}

export async function discardLetters(
  config: Config,
  chosen: ChosenLetters,
  stop: AbortSignal,
): Promise<number> {
  leaveOnStop(stop);
  const print = (discarded: number) => {
    write(chosen.json ? JSON.stringify({ discarded }) : `${formatCount(discarded)} discarded`);
    return 0;
  };
  return withLetters(
    config,
    () => print(0),
    async letters => {
      const filter = await chosenLetters(config, letters, chosen);
      return print(await letters.settle({ ...filter, states: ['open'] }, 'discarded'));
    },
  );
}

/** `none` is what the command does before the pipeline has run. */
async function withLetters(
  config: Config,
  none: () => number,
  run: (letters: DeadLetters, clickhouse: ClickHouse, address: ClickHouseAddress) => Promise<number>,
): Promise<number> {
  const opened = (await findClickHouse(config)) ?? (await openClickHouse(config));
  try {
    const { clickhouse } = await connectClickHouse(opened.address);
    try {
      const letters = new DeadLetters(clickhouse, config.pipeline);
      return (await letters.exists()) ? await run(letters, clickhouse, opened.address) : none();
    } finally {
      await clickhouse.close();
    }
  } finally {
    await opened.close();
  }
}

/** Most letters are of rows, and Kafka's client takes half a second to load. */
class LazyMessageReplay {
  readonly #config: Config;
  readonly #address: ClickHouseAddress;
  #opened: Promise<MessageReplay> | undefined;

  constructor(config: Config, address: ClickHouseAddress) {
    this.#config = config;
    this.#address = address;
  }

  async replay(message: PoisonMessage): Promise<void> {
    if (this.#config.mode !== 'cdc')
      throw new CdcError('LETTER_OUTDATED', `mode ${this.#config.mode} reads no messages`, {
        hint: 'Replay it with the configuration of the pipeline that wrote it, mode cdc.',
      });
    this.#opened ??= this.#open();
    await (await this.#opened).replay(message);
  }

  async close(): Promise<void> {
    await (await this.#opened?.catch(() => undefined))?.close();
  }

  async #open(): Promise<MessageReplay> {
    const { MessageReplay } = await import('../service/message-replay.ts');
    return MessageReplay.open(this.#config, this.#address, createLog(this.#config.log));
  }
}

async function chosenLetters(
  config: Config,
  letters: DeadLetters,
  { ids, table, all }: ChosenLetters,
): Promise<LetterFilter> {
  if ([ids.length > 0, table !== undefined, all === true].filter(Boolean).length !== 1)
    throw new CdcError('CONFIG_INVALID', 'which letters is not said, or in more than one way', {
      hint: 'Name IDs, or give --table, or --all.',
    });
  if (ids.length === 0) return { states: ['open'], ...(await tablesFilter(letters, table)) };
  const whole: string[] = [];
  for (const id of ids) whole.push(await wholeId(config, letters, id));
  return { states: ['open', 'discarded'], ids: whole };
}

async function wholeId(config: Config, letters: DeadLetters, prefix: string): Promise<string> {
  const found = /^[0-9a-f]{1,32}$/.test(prefix) ? await letters.idsLike(prefix) : [];
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new CdcError('LETTER_UNKNOWN', `the IDs of several dead letters begin with "${prefix}"`);
  throw unknownLetter(config, prefix);
}

function unknownLetter({ pipeline }: Config, id: string): CdcError {
  return new CdcError('LETTER_UNKNOWN', `pipeline "${pipeline}" has no dead letter "${id}"`);
}

/** Throws NO_TABLES for a pattern that no letter's table matches. */
async function tablesFilter(
  letters: DeadLetters,
  patterns: readonly string[] | undefined,
): Promise<Pick<LetterFilter, 'tables'>> {
  if (!patterns) return {};
  const tables = (await letters.tables()).map(({ schema, table }) => ({ schema, table, name: table }));
  for (const pattern of patterns)
    if (throws(() => parsePattern(pattern)))
      throw new CdcError('CONFIG_INVALID', `--table ${pattern} is no pattern of tables`, {
        hint: 'Write schema.table, as in public.orders or shop.*.',
      });
  const unmatched = unmatchedPatterns(patterns, tables);
  if (unmatched.length > 0)
    throw new CdcError(
      'NO_TABLES',
      `no table with dead letters matches ${unmatched.map(text => `"${text}"`).join(', ')}`,
      {
        hint: `There are dead letters of ${tables.map(({ schema, name }) => `${schema}.${name}`).join(', ') || 'no table'}.`,
      },
    );
  return { tables: tables.filter(({ schema, name }) => matchesPattern(patterns, [], schema, name)) };
}

function formatReplay({ replayed, superseded, failed }: ReplayResult): string {
  const lines = failed
    .slice(0, shownFailures)
    .flatMap(({ id, table, code, reason, hint }) => [
      `${id.slice(0, 12)}  ${table}: ${reason} (${code})`,
      `              ${hint}`,
    ]);
  if (failed.length > shownFailures) lines.push(`… and ${formatCount(failed.length - shownFailures)} more`);
  return [
    ...lines,
    [
      `${formatCount(replayed)} replayed`,
      ...(superseded > 0 ? [`${formatCount(superseded)} superseded by something newer`] : []),
      ...(failed.length > 0 ? [`${formatCount(failed.length)} still open`] : []),
    ].join(', '),
  ].join('\n');
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}
