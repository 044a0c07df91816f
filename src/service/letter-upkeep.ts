import type { Config } from '../config.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { type DeadLetter, letterOwner } from '../sinks/clickhouse/dead-letter.ts';
import type { DeadLetters } from '../sinks/clickhouse/dead-letters.ts';
import { LetterTables } from './letter-tables.ts';

/** Tests make it shorter. */
const intervalMs = Number(process.env.WAL_CDC_TEST_LETTER_INTERVAL_MS ?? 60_000);

/**
 * Looks after the letters of a pipeline that runs: counts the open ones, and settles those whose row has become good or is
 * gone by now, some at a time.
 */
export class LetterUpkeep {
  readonly #letters: DeadLetters;
  readonly #tables: LetterTables;
  #pages: AsyncGenerator<DeadLetter[]> | undefined;
  #lookedAtMs = performance.now();

  constructor(letters: DeadLetters, clickhouse: ClickHouse, config: Config) {
    this.#letters = letters;
    this.#tables = new LetterTables(clickhouse, config);
  }

  /** Called every few seconds. */
  async tend(): Promise<void> {
    if (!this.#letters.mayHaveChanged) return;
    await this.#letters.countOpen();
    if (this.#letters.open.size === 0 || performance.now() - this.#lookedAtMs < intervalMs) return;
    this.#lookedAtMs = performance.now();
    this.#pages ??= this.#letters.pages({ states: ['open'] });
    const { value: page } = await this.#pages.next();
    if (page) await this.#settle(page);
    else this.#pages = undefined;
  }

  async #settle(page: readonly DeadLetter[]): Promise<void> {
    const ids: string[] = [];
    const ofRows = page.filter(letter => letter.op !== 'message');
    for (const [name, own] of Map.groupBy(ofRows, letterOwner)) {
      const outcomes = await this.#tables.write(name, own, { onlyNewer: true });
      for (const [{ id }, outcome] of outcomes) if (outcome === 'superseded') ids.push(id);
    }
    if (ids.length > 0) await this.#letters.settle({ ids }, 'superseded');
  }
}
