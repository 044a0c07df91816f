import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import packageJson from '../package.json' with { type: 'json' };
import { leaves, variableOf } from '../src/config/setting-tree.ts';
import { errorKinds } from '../src/core/errors.ts';
import { Metrics } from '../src/observe/metrics.ts';

const root = join(import.meta.dirname, '..');
const pages = globSync(['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/**/*.md', 'helm/*/*.md'], {
  cwd: root,
}).map(file => ({ file, text: readFileSync(join(root, file), 'utf8') }));

/** Lines of shell and unit files, code within sentences, and the commands that hints name in double quotes. */
function codeLines(text: string): string[] {
  const prose: string[] = [];
  const lines: string[] = [];
  for (const [i, part] of text.split(/^ *```/m).entries()) {
    if (i % 2 === 0) prose.push(part);
    else if (/^(sh|ini)\n/.test(part))
      lines.push(
        ...part
          .replaceAll('\\\n', ' ')
          .split('\n')
          .map(line => line.replace(/ #.*/, '')),
      );
  }
  for (const [, span, quoted] of prose.join('').matchAll(/`([^`\n]+)`|"((?:wal-cdc|npm) [^"\n]+)"/g))
    lines.push((span ?? quoted)!);
  return lines;
}

function help(...command: string[]): string {
  return execFileSync(process.execPath, [join(root, 'src/main.ts'), ...command, '--help'], {
    encoding: 'utf8',
  });
}

/** Of the program, or of a group of commands. */
const commandsOf = (...group: string[]) =>
  [...help(...group).matchAll(/^Commands:\n((?: .*\n)+)/gm)].flatMap(([, list]) =>
    [...list!.matchAll(/^ {2}([a-z-]+) /gm)].map(match => match[1]!),
  );
const commands = commandsOf();
const flagsOf = new Map<string, Set<string>>();

function flags(...command: string[]): Set<string> {
  const name = command.join(' ');
  let known = flagsOf.get(name);
  if (!known) {
    known = new Set(help(...command).match(/--[a-z][a-z-]*/g));
    flagsOf.set(name, known);
  }
  return known;
}

test('every wal-cdc command and flag in the documents exists', () => {
  let found = 0;
  for (const { file, text } of pages) {
    for (const line of codeLines(text)) {
      const match = /(?:^|[\s/])(?:wal-cdc(?:\.mjs)?|src\/main\.ts) +(.+)/.exec(line);
      if (!match) continue;
      const [command = ''] = match[1]!.split(' ');
      found++;
      if (command.startsWith('-')) assert.match(help(), new RegExp(`${command}\\b`), `${file}: ${line}`);
      else if (command === 'dead-letters' && match[1] !== command) {
        const name = match[1]!.split(/[ |]/)[1]!;
        assert.ok(commandsOf(command).includes(name), `${file}: no command "${name}" in: ${line}`);
        for (const flag of match[1]!.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [])
          assert.ok(flags(command, name).has(flag), `${file}: no flag ${flag} in: ${line}`);
      } else {
        assert.ok(commands.includes(command), `${file}: no command "${command}" in: ${line}`);
        for (const flag of match[1]!.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? [])
          assert.ok(flags(command).has(flag), `${file}: no flag ${flag} in: ${line}`);
      }
    }
  }
  assert.ok(found > 30, `${found} commands found`);
});

test('the README names every command', () => {
  const { text } = pages.find(page => page.file === 'README.md')!;
  for (const command of commands.filter(name => name !== 'help'))
    assert.ok(text.includes(`wal-cdc ${command}`), command);
});

test('every npm script in the documents exists', () => {
  for (const { file, text } of pages) {
    for (const line of codeLines(text)) {
      const match = /\bnpm (?:run )?(?:--silent )?([a-z:]+)/.exec(line);
      if (match && !['ci', 'rebuild'].includes(match[1]!))
        assert.ok(Object.hasOwn(packageJson.scripts, match[1]!), `${file}: ${line}`);
    }
  }
});

test('every link between documents leads somewhere', () => {
  for (const { file, text } of pages) {
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path, anchor] = target!.split('#');
      const linked = path === '' ? join(root, file) : join(root, dirname(file), path!);
      assert.ok(existsSync(linked), `${file}: ${target}`);
      if (anchor !== undefined)
        assert.ok(headings(readFileSync(linked, 'utf8')).includes(anchor), `${file}: no heading ${target}`);
    }
  }
});

test('source files that the documents name exist', () => {
  for (const { file, text } of pages)
    for (const [, path] of text.matchAll(/`([a-z-]+\/[\w./-]+\.(?:ts|mjs|js|md))`/g))
      assert.ok(
        existsSync(join(root, path!)) || existsSync(join(root, 'src', path!)),
        `${file}: there is no ${path}`,
      );
});

/** As the usual renderers name them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(match =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('metrics in the documents exist, and operations.md has them all', async () => {
  const metrics = (await new Metrics().registry.getMetricsAsJSON()).map(metric => metric.name);
  const named = (text: string): string[] =>
    text.match(/\bwal_cdc_[a-z_]+_(?:seconds|bytes|total|messages|state)\b/g) ?? [];
  for (const { file, text } of pages)
    for (const name of named(text)) assert.ok(metrics.includes(name), `${file}: ${name}`);
  const operations = named(pages.find(page => page.file === 'docs/operations.md')!.text);
  assert.deepEqual(
    metrics.filter(name => !operations.includes(name)),
    [],
  );
});

test('variables and error codes in the documents exist', () => {
  const plain = (name: string) => name.replace(/_FILE$/, '').replaceAll('_', '');
  const variables = new Set([...leaves.map(leaf => variableOf(leaf.path)), 'WAL_CDC_CONFIG'].map(plain));
  for (const { file, text } of pages) {
    for (const name of text.match(/\bWAL_CDC_[A-Z0-9_]*[A-Z0-9]\b/g) ?? [])
      assert.ok(
        variables.has(plain(name)) || /^WAL_CDC_(SLOW|TEST_|KAFKA_CACHE$)/.test(name),
        `${file}: ${name}`,
      );
    for (const [, code] of text.matchAll(/`([A-Z]+_[A-Z_]+)`/g))
      if (!/^(WAL_CDC|START_REPLICATION)/.test(code!))
        assert.ok(Object.hasOwn(errorKinds, code!), `${file}: ${code}`);
  }
});
