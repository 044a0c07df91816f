import { inspect } from 'node:util';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import type { ListOptions } from './cli/dead-letters.ts';
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

const groups: Record<string, string> = {
  'dead-letters': 'Rows and messages that could not be written: list, show, replay, discard.',
};

let exitCode = 0;
let debug = isDebug(process.env.WAL_CDC_LOG_LEVEL);

const program = new Command('wal-cdc')
  .description("PostgreSQL's write-ahead log becomes live ClickHouse tables.")
  .version(packageJson.version)
  .exitOverride()
  .showHelpAfterError('hint: Add --help for a list of options.\ncode: CONFIG_INVALID')
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
  options: [
    new Option('--for <duration>', 'end after this time, as in 60s or 5m; otherwise on Ctrl-C').argParser(
      parseDuration,
    ),
    new Option('--rate <number>', 'transactions written per second')
      .argParser(parseWhole(1, 1_000_000))
      .default(500),
    portOption('port of the status page', 8080),
    new Option('--dir <folder>', 'where the databases live').default('.wal-cdc/demo'),
    configOption(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { demo } = await import('./cli/demo.ts');
    const {
      for: forMs,
      rate,
      port,
      dir,
    } = given as { for?: number; rate: number; port: number; dir: string };
    return demo(config, { forMs, rate, port, dir }, stop);
  },
});

command('run', 'Run the service: read changes, or generate them, and write them to ClickHouse', {
  examples: [
    'run',
    'run --clickhouse http://me@ch:8123 --rate 0 --until 10000000',
    'run --mode wal --postgres postgres://me@db/app --clickhouse http://me@ch:8123',
    "run --config wal-cdc.yaml --tables 'public.*,shop.orders'",
    'run --config wal-cdc.yaml --until current',
    'run --into postgres --postgres postgres://me@db/app --rate 5000',
  ],
  options: [
    new Option(
      '--until <position>',
      "end once this position is queryable; current is the source's end at the start; in mode synthetic the number of a change",
    ),
    new Option(
      '--keep-rows',
      'write to tables that already have rows, without a copy (with --snapshot none)',
    ),
    configOption(),
    ...settingOptions(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { run } = await import('./cli/run.ts');
    const { until, keepRows } = given as { until?: string; keepRows?: boolean };
    return run(config, { untilPosition: until, keepRows: keepRows === true }, stop);
  },
});

command(
  'clickhouse',
  'Run the embedded ClickHouse alone; its first line of output is the URL to connect with',
  {
    examples: ['clickhouse --dir ./ch', 'clickhouse --dir ./ch --port 0 --password secret'],
    options: [
      new Option('--dir <folder>', 'where the data lives').makeOptionMandatory(),
      portOption('port of the HTTP interface', 8123),
      new Option('--password <text>', 'password of user wal_cdc; otherwise one is made for the folder'),
    ],
    run: async (given, signal) => {
      const { runClickHouse } = await import('./cli/clickhouse.ts');
      const { dir, port, password } = given as { dir: string; port: number; password?: string };
      return runClickHouse({ dir, port, password, signal });
    },
  },
);

command('doctor', 'Check source, broker and sink, and say what to change', {
  examples: [
    'doctor --config wal-cdc.yaml',
    'doctor --mode wal --postgres postgres://me@db/app --json',
    'doctor --mode cdc --kafka broker:9092 --connect http://connect:8083',
  ],
  options: [
    new Option('--fast', 'do not read the rows of tables to look for values that ClickHouse cannot hold'),
    jsonOption(),
    configOption(),
    ...settingOptions(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { doctor } = await import('./cli/doctor.ts');
    return doctor(config, { fast: given.fast === true, json: given.json === true }, stop);
  },
});

command('plan', 'Print the ClickHouse DDL and PostgreSQL objects that run would create; change nothing', {
  examples: [
    'plan --config wal-cdc.yaml',
    "plan --mode wal --postgres postgres://me@db/app --tables 'public.*'",
  ],
  options: [jsonOption(), configOption(), ...settingOptions()],
  run: async (given, stop) => {
    const config = configOf(given);
    const { plan } = await import('./cli/plan.ts');
    return plan(config, { json: given.json === true }, stop);
  },
});

command('status', 'Show tables, phases, freshness, lag, retained WAL and dead letters', {
  examples: [
    'status --config wal-cdc.yaml',
    'status --listen 127.0.0.1:8080 --json',
    'status --config wal-cdc.yaml --connect http://connect:8083',
  ],
  options: [jsonOption(), configOption(), ...settingOptions()],
  run: async (given, stop) => {
    const config = configOf(given);
    const { status } = await import('./cli/status.ts');
    return status(config, { json: given.json === true }, stop);
  },
});

command('verify', 'Compare source and ClickHouse row by row', {
  examples: [
    'verify --config wal-cdc.yaml',
    "verify --config wal-cdc.yaml --table public.orders --table 'shop.*' --json",
  ],
  options: [
    new Option(
      '--table <pattern>',
      'compare only these; may be repeated (default: every table of the pipeline)',
    ).argParser((value: string, before: string[] = []) => [...before, value]),
    jsonOption(),
    configOption(),
    ...settingOptions(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { verify } = await import('./cli/verify.ts');
    return verify(config, { tables: given.table as string[] | undefined, json: given.json === true }, stop);
  },
});

command('resync', 'Copy tables afresh behind the live ones, and swap them', {
  examples: ['resync public.orders --config wal-cdc.yaml'],
  argument: new Argument('<tables...>', 'as schema.table'),
  options: [configOption(), ...settingOptions()],
  run: async (given, stop, tables) => {
    const config = configOf(given);
    const { resync } = await import('./cli/resync.ts');
    return resync(config, { tables }, stop);
  },
});

const lettersOf = new Option(
  '--table <pattern>',
  'letters of these tables, as schema.table; may be repeated',
).argParser((value: string, before: string[] = []) => [...before, value]);
const ids = new Argument('[ids...]', 'IDs, or their first letters');

command('dead-letters list', 'List rows and messages that could not be written, the newest first', {
  examples: [
    'dead-letters list --config wal-cdc.yaml',
    "dead-letters list --config wal-cdc.yaml --table 'public.*' --limit 500 --json",
  ],
  options: [
    lettersOf,
    new Option('--limit <number>', 'list no more than these').argParser(parseWhole(1, 1_000_000)).default(50),
    new Option('--state <state>', 'which ones')
      .choices(['open', 'replayed', 'superseded', 'discarded', 'all'])
      .default('open'),
    jsonOption(),
    configOption(),
    ...settingOptions(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { listLetters } = await import('./cli/dead-letters.ts');
    return listLetters(config, given as unknown as ListOptions, stop);
  },
});

command('dead-letters show', 'Show one of them, column by column, or the raw message', {
  examples: ['dead-letters show 3f2a9c --config wal-cdc.yaml'],
  argument: new Argument('<id>', 'the ID, or its first letters'),
  options: [jsonOption(), configOption(), ...settingOptions()],
  run: async (given, stop, [id]) => {
    const config = configOf(given);
    const { showLetter } = await import('./cli/dead-letters.ts');
    return showLetter(config, { id: id!, json: given.json === true }, stop);
  },
});

for (const [name, about] of [
  ['replay', 'Write them with the configuration of now; what fails again stays open'],
  ['discard', 'Give them up: they are not listed and replayed any more'],
] as const)
  command(`dead-letters ${name}`, about, {
    examples: [
      `dead-letters ${name} 3f2a9c --config wal-cdc.yaml`,
      `dead-letters ${name} --table public.orders --config wal-cdc.yaml`,
      `dead-letters ${name} --all --config wal-cdc.yaml`,
    ],
    argument: ids,
    options: [
      lettersOf,
      new Option('--all', 'all that are open'),
      jsonOption(),
      configOption(),
      ...settingOptions(),
    ],
    run: async (given, stop, words) => {
      const config = configOf(given);
      const { discardLetters, replayOpenLetters } = await import('./cli/dead-letters.ts');
      const chosen = { ...(given as { table?: string[]; all?: boolean; json?: boolean }), ids: words };
      return name === 'replay'
        ? replayOpenLetters(config, chosen, stop)
        : discardLetters(config, chosen, stop);
    },
  });

command('teardown', 'Drop the slot and publication, or the consumer group, that the pipeline made', {
  examples: ['teardown --config wal-cdc.yaml', 'teardown --config wal-cdc.yaml --data'],
  options: [
    new Option('--data', 'drop its ClickHouse tables too'),
    jsonOption(),
    configOption(),
    ...settingOptions(),
  ],
  run: async (given, stop) => {
    const config = configOf(given);
    const { teardown } = await import('./cli/teardown.ts');
    return teardown(config, { json: given.json === true, data: given.data === true }, stop);
  },
});

// A fault outside of any command's own course.
process.on('uncaughtException', error => process.exit(report(error, false)));
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

/**
 * Adds a command; of two words, below a group. `run` resolves to the exit code; it imports the command's module itself, so that start-up is fast
 * and what is not installed is missed only by the commands that need it.
 */
function command(
  name: string,
  about: string,
  definition: {
    examples: string[];
    argument?: Argument;
    options: Option[];
    /** `words` are what the argument takes. */
    run: (given: Options, stop: AbortSignal, words: string[]) => Promise<number>;
  },
): void {
  const words = name.split(' ');
  const created = (words.length > 1 ? group(words[0]!) : program)
    .command(words.at(-1)!)
    .description(`${about}.`)
    .addHelpText(
      'after',
      `\nExamples:\n${definition.examples.map(example => `  wal-cdc ${example}`).join('\n')}`,
    );
  for (const option of definition.options) created.addOption(option);
  if (definition.argument) created.addArgument(definition.argument);
  created.action(async (...args: unknown[]) => {
    const words = definition.argument ? [args[0] as string | string[]].flat() : [];
    const given = (definition.argument ? args[1] : args[0]) as Options;
    try {
      exitCode = await definition.run(given, stopOnSignals(), words);
    } catch (error) {
      exitCode = report(error, given.json === true);
    }
  });
}

/** The command that others stand below. */
function group(name: string): Command {
  const known = program.commands.find(command => command.name() === name);
  return known ?? program.command(name).description(groups[name]!);
}

function configOption(): Option {
  return new Option('--config <file>', 'YAML file with settings (or WAL_CDC_CONFIG)');
}

function jsonOption(): Option {
  return new Option('--json', 'print JSON');
}

function portOption(about: string, fallback: number): Option {
  return new Option('--port <number>', `${about}; 0 takes a free one`)
    .argParser(parseWhole(0, 65_535))
    .default(fallback);
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

function configOf(given: Options): Config {
  const flags = leaves
    .filter(leaf => leaf.info.flag)
    .map(({ path, info }) => [path, given[new Option(info.flag!).attributeName()] as string | undefined]);
  const config = loadConfig({ file: given.config, env: process.env, flags: Object.fromEntries(flags) });
  debug = isDebug(config.log.level);
  return config;
}

/** Prints a failure, its stack only when debugging. Returns the exit code. */
function report(thrown: unknown, json: boolean): number {
  const error = asCdcError(thrown);
  const { code, hint, table } = error;
  const message = redactText(error.message);
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, hint, table } })}\n`);
  else process.stderr.write(`error: ${message}\nhint: ${hint}\ncode: ${code}\n`);
  if (debug) process.stderr.write(`${redactText(inspect(thrown))}\n`);
  return error.exitCode;
}

function isDebug(level: string | undefined): boolean {
  return level === 'debug' || level === 'trace';
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
