import { inspect } from 'node:util';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { redactText } from './config/redact.ts';
import { defaultText, isList, leaves } from './config/setting-tree.ts';
import { type Config, loadConfig } from './config.ts';
import { asCdcError } from './core/errors.ts';
import { stopOnSignals } from './signals.ts';

interface Options {
  config?: string;
  json?: boolean;
  [name: string]: unknown;
}

/** Runs a command to its exit code. Its module is loaded only now: others may need what is not installed. */
type Run<T> = (config: Config, options: T, stop: AbortSignal) => Promise<number>;

let exitCode = 0;

const program = new Command('wal-cdc')
  .description("PostgreSQL's write-ahead log becomes live ClickHouse tables.")
  .version(packageJson.version)
  .exitOverride()
  .showHelpAfterError('Add --help for a list of options.')
  .addHelpText(
    'after',
    `
Examples:
  wal-cdc demo                                    everything embedded, with a status page
  wal-cdc doctor --mode wal --postgres postgres://me@db/app
  wal-cdc run --mode wal --postgres postgres://me@db/app --clickhouse http://me@ch:8123

Every setting may stand in a file (--config), in the environment (WAL_CDC_…) or in a flag; docs/configuration.md lists them.
Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 source, broker or sink not usable, 4 data differs or a table is stopped.`,
  );

command('demo', 'Run PostgreSQL, ClickHouse and the pipeline between them, all embedded, with live writes', {
  examples: ['demo', 'demo --for 60s --rate 2000', 'demo --dir /tmp/demo --port 0'],
  flags: false,
  options: [
    new Option('--for <duration>', 'end after this time, as in 60s or 5m; otherwise on Ctrl-C').argParser(
      parseDuration,
    ),
    new Option('--rate <number>', 'rows written per second').argParser(parseWhole(1, 1_000_000)).default(500),
    new Option('--port <number>', 'port of the status page; 0 takes a free one')
      .argParser(parseWhole(0, 65_535))
      .default(8080),
    new Option('--dir <folder>', 'where the databases live').default('.wal-cdc/demo'),
  ],
  load: async () => (await import('./cli/demo.ts')).demo,
  pick: given => ({
    forMs: given.for as number | undefined,
    rate: given.rate as number,
    port: given.port as number,
    dir: given.dir as string,
  }),
});

command('run', 'Run the service: read changes, write them to ClickHouse', {
  examples: [
    'run',
    'run --mode wal --postgres postgres://me@db/app --clickhouse http://me@ch:8123',
    "run --config wal-cdc.yaml --tables 'public.*,shop.orders'",
    'run --config wal-cdc.yaml --until current',
  ],
  options: [
    new Option(
      '--until <position>',
      "end once this position is queryable; current is the source's end at the start",
    ),
    new Option(
      '--keep-rows',
      'write to tables that already have rows, without a copy (with --snapshot none)',
    ).default(false),
  ],
  load: async () => (await import('./cli/run.ts')).run,
  pick: given => ({
    untilPosition: given.until as string | undefined,
    keepRows: given.keepRows as boolean,
  }),
});

command('doctor', 'Check source, broker and sink, and say what to change', {
  examples: ['doctor --config wal-cdc.yaml', 'doctor --mode wal --postgres postgres://me@db/app --json'],
  json: true,
  load: async () => (await import('./cli/doctor.ts')).doctor,
  pick: ({ json }) => ({ json: json === true }),
});

command('plan', 'Print the ClickHouse DDL and PostgreSQL objects that run would create; change nothing', {
  examples: [
    'plan --config wal-cdc.yaml',
    "plan --mode wal --postgres postgres://me@db/app --tables 'public.*'",
  ],
  json: true,
  load: async () => (await import('./cli/plan.ts')).plan,
  pick: ({ json }) => ({ json: json === true }),
});

command('status', 'Show tables, phases, freshness, lag, retained WAL and dead letters', {
  examples: ['status --config wal-cdc.yaml', 'status --listen 127.0.0.1:8080 --json'],
  json: true,
  load: async () => (await import('./cli/status.ts')).status,
  pick: ({ json }) => ({ json: json === true }),
});

command('teardown', 'Drop the slot and publication that the pipeline made', {
  examples: ['teardown --config wal-cdc.yaml', 'teardown --config wal-cdc.yaml --data'],
  json: true,
  options: [new Option('--data', 'drop its ClickHouse tables too').default(false)],
  load: async () => (await import('./cli/teardown.ts')).teardown,
  pick: ({ json, data }) => ({ json: json === true, data: data === true }),
});

// A fault outside of any command's own course.
process.on('uncaughtException', error => {
  process.exit(report(error, false, /^(debug|trace)$/.test(process.env.WAL_CDC_LOG_LEVEL ?? '')));
});
// The reader of a pipe (as in `wal-cdc plan | head`) may leave early.
process.stdout.on('error', () => process.exit(exitCode));

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  exitCode = error.exitCode === 0 ? 0 : 2;
}
// What was written to a pipe goes out before the process ends; nothing else needs to be waited for.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));

interface Definition<T> {
  examples: string[];
  options?: Option[];
  json?: boolean;
  /** Whether the command takes the flags of settings. */
  flags?: boolean;
  load: () => Promise<Run<T>>;
  pick: (given: Options) => T;
}

function command<T>(name: string, about: string, definition: Definition<T>): void {
  const { examples, options = [], json = false, flags = true } = definition;
  const created = program
    .command(name)
    .description(`${about}.`)
    .addHelpText('after', `\nExamples:\n${examples.map(example => `  wal-cdc ${example}`).join('\n')}`);
  for (const option of options) created.addOption(option);
  if (json) created.option('--json', 'print JSON');
  created.option('--config <file>', 'YAML file with settings (or WAL_CDC_CONFIG)');
  if (flags) for (const option of settingOptions()) created.addOption(option);
  created.action(async (given: Options) => {
    let logLevel = process.env.WAL_CDC_LOG_LEVEL;
    try {
      const config = loadConfig({ file: given.config, env: process.env, flags: settingFlags(given) });
      logLevel = config.log.level;
      const run = await definition.load();
      exitCode = await run(config, definition.pick(given), stopOnSignals());
    } catch (error) {
      exitCode = report(error, given.json === true, logLevel === 'debug' || logLevel === 'trace');
    }
  });
}

function settingOptions(): Option[] {
  return leaves
    .filter(leaf => leaf.info.flag)
    .map(leaf => {
      const fallback = defaultText(leaf);
      const about = leaf.info.about + (fallback === '' ? '' : ` (default: ${fallback})`);
      const option = new Option(
        `${leaf.info.flag} <${isList(leaf) ? 'list' : 'value'}>`,
        about.replaceAll('`', ''),
      ).helpGroup('Settings:');
      // A list may be one flag with commas, or the flag repeated.
      if (isList(leaf))
        option.argParser((value: string, before?: string) => (before ? `${before},${value}` : value));
      return option;
    });
}

function settingFlags(given: Options): Record<string, string | undefined> {
  const flags = leaves.filter(leaf => leaf.info.flag);
  return Object.fromEntries(
    flags.map(({ path, info }) => [
      path,
      given[new Option(info.flag!).attributeName()] as string | undefined,
    ]),
  );
}

/** Prints a failure without its stack, unless debugging is asked for. Returns the exit code. */
function report(thrown: unknown, json: boolean, debug: boolean): number {
  const error = asCdcError(thrown);
  const { code, hint, table } = error;
  const message = redactText(error.message);
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, hint, table } })}\n`);
  else process.stderr.write(`error: ${message}\nhint: ${hint}\ncode: ${code}\n`);
  if (debug) process.stderr.write(`${redactText(inspect(thrown))}\n`);
  return error.exitCode;
}

function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (!match || Number(match[1]) === 0)
    throw new InvalidArgumentError('Expected a duration such as 60s, 5m or 1h.');
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 's']!;
}

function parseWhole(min: number, max: number): (text: string) => number {
  return text => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };
}
