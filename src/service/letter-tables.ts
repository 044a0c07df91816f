import type { Config } from '../config.ts';
import { asCdcError, CdcError } from '../core/errors.ts';
import { qualifiedName } from '../core/relation.ts';
import type { ClickHouse } from '../sinks/clickhouse/client.ts';
import { ControlTables } from '../sinks/clickhouse/control-tables.ts';
import type { DeadLetter } from '../sinks/clickhouse/dead-letter.ts';
import { LetterTable, type Outcome, outdated } from './letter-table.ts';

/** The ClickHouse tables that letters of a pipeline are written to. */
export class LetterTables {
  readonly #clickhouse: ClickHouse;
  readonly #config: Config;
  readonly #control: ControlTables;

  constructor(clickhouse: ClickHouse, config: Config) {
    this.#clickhouse = clickhouse;
    this.#config = config;
    this.#control = new ControlTables(clickhouse, config.pipeline, config.clickhouse.cluster);
  }

  /** As `LetterTable.write`; `name` is `schema.table`. */
  async write(
    name: string,
    letters: readonly DeadLetter[],
    options: { onlyNewer?: boolean } = {},
  ): Promise<Map<DeadLetter, Outcome>> {
    try {
      return await (await this.#open(name)).write(letters, options);
    } catch (error) {
      const failure = asCdcError(error);
      if (failure.code !== 'LETTER_OUTDATED') throw failure;
      return new Map(letters.map(letter => [letter, failure]));
    }
  }

  /** As the table is now: for each page anew. */
  async #open(name: string): Promise<LetterTable> {
    const found = (await this.#control.loadTables()).find(table => qualifiedName(table) === name);
    if (!found) throw outdated(name, 'the pipeline does not replicate it');
    if (found.state.phase === 'copying')
      throw new CdcError('LETTER_OUTDATED', `table ${name} is being copied`, {
        table: name,
        hint: 'Replay the letter once the copy is done, which may have settled it.',
      });
    return LetterTable.open(this.#clickhouse, this.#config, found);
  }
}
