import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { read } from './apps/parts.ts';
import { commands, page } from './deploy-page.ts';
import { names } from './names.ts';
import { repository } from './terraform/terraform.ts';

const dev = 'terraform/environments/dev';

/** Arguments of each command of the program, without comments. */
function calls(program: string): string[][] {
  return commands
    .map(line => line.replace(/ +#.*/, '').trim().split(/\s+/))
    .filter(words => words[0] === program)
    .map(words => words.slice(1));
}

test('every command is one that a shell can read, of a program that the page asks for', () => {
  assert.ok(commands.length > 20);
  for (const line of commands) {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: line, encoding: 'utf8' });
    assert.equal(status, 0, `${line}\n${stderr}`);
    assert.match(
      line,
      /^(aws|cd|cp|curl|docker|export|git|helm|kubectl|npx wal-cdc|scripts\/teardown|terraform|values(\(\) \{ terraform)?)( |$)/,
    );
  }
});

test('files and folders that the page names exist', () => {
  for (const [from] of calls('cp')) assert.ok(existsSync(join(repository, dev, from!)), from);
  for (const [to] of calls('cd')) assert.equal(to, dev);
  for (const [, path] of page.matchAll(/`((?:apps|clickhouse|platform|scripts|terraform)\/[\w./-]+)`/g))
    assert.ok(existsSync(join(repository, path!)), path);
  for (const args of calls('terraform'))
    for (const [, folder] of args.join(' ').matchAll(/-chdir=(\S+)/g))
      assert.ok(existsSync(join(repository, folder!)), folder);
});

test('Git leaves out what the commands of the page make, but the lock file of the providers', () => {
  using dir = tempDir();
  const made = [
    ...calls('cp').map(([, to]) => join(dev, to!)),
    ...calls('terraform')
      .flatMap(args => args.flatMap(arg => /^-out=(.+)/.exec(arg)?.[1] ?? []))
      .map(file => join(dev, file)),
    ...commands.flatMap(line => /(?<!<)>(\w[\w.-]*)$/.exec(line)?.[1] ?? []),
  ];
  assert.equal(made.length, 7);
  copyFileSync(join(repository, '.gitignore'), join(dir.path, '.gitignore'));
  const git = (...args: string[]) => spawnSync('git', ['-C', dir.path, ...args], { encoding: 'utf8' });
  assert.equal(git('init', '--quiet').status, 0);
  for (const file of made) assert.equal(git('check-ignore', '--quiet', file).status, 0, file);
  assert.equal(git('check-ignore', '--quiet', join(dev, '.terraform.lock.hcl')).status, 1);
});

test('terraform is called with commands and options that it has', () => {
  const options: Record<string, string[]> = {
    init: ['-backend-config'],
    plan: ['-out'],
    apply: [],
    console: ['-var-file'],
  };
  for (const args of calls('terraform')) {
    const [command, ...rest] = args.filter(arg => !arg.startsWith('-chdir='));
    assert.ok(command !== undefined && Object.hasOwn(options, command), args.join(' '));
    for (const arg of rest.filter(arg => arg.startsWith('-')))
      assert.ok(options[command]!.includes(arg.split('=')[0]!), args.join(' '));
  }
});

test('options of scripts/teardown exist', () => {
  const help = execFileSync(join(repository, 'scripts/teardown'), ['--help'], { encoding: 'utf8' });
  const named = [...page.matchAll(/scripts\/teardown ([^`\n]+)`/g)].flatMap(
    ([, args]) => args!.match(/--[a-z-]+/g) ?? [],
  );
  assert.ok(named.length > 0);
  for (const option of named) assert.ok(help.includes(`  ${option} `), option);
});

test('settings that the page names are variables of environments/dev or its modules', () => {
  const declared = ['environments/dev', 'modules/argocd', 'modules/eks']
    .map(folder => read(`terraform/${folder}/variables.tf`))
    .join('\n');
  const settings = new Set(
    [...page.matchAll(/`([a-z]+(?:_[a-z]+)+)(?: = [^`]+)?`/g)].map(([, name]) => name!),
  );
  assert.ok(settings.size >= 10);
  for (const name of settings) assert.ok(declared.includes(`variable "${name}"`), name);
});

test('the commands that Terraform prints are those of the page', () => {
  const { cluster, argocdNamespace } = names;
  const outputs = read(`${dev}/outputs.tf`)
    .replaceAll(/\$\{module\.argocd\.namespace\}/g, argocdNamespace)
    .replaceAll(/\$\{module\.eks\.name\}/g, cluster)
    .replaceAll(/\$\{var\.region\}/g, 'us-east-1');
  const printed = [...outputs.matchAll(/value += "((?:aws|kubectl) .*)"$/gm)].map(([, command]) => command!);
  assert.equal(printed.length, 4);
  for (const command of printed) assert.ok(commands.includes(command), command);
});

test('namespaces and versions of charts are those of Terraform', () => {
  // The last is that of the service alone, whose name is anybody's.
  const namespaces = [
    names.argocdNamespace,
    names.monitoringNamespace,
    ...names.workloadNamespaces,
    'pipeline',
  ];
  for (const line of commands)
    for (const [, name] of line.matchAll(/(?:kubectl -n| --namespace|delete namespace) ([\w-]+)/g))
      assert.ok(namespaces.includes(name!), line);
  const variables = read('terraform/modules/argocd/variables.tf');
  const versions = [...page.matchAll(/helm install .* --version (\S+)/g)].map(([, version]) => version!);
  assert.equal(versions.length, 2);
  for (const version of versions) assert.ok(variables.includes(`default     = "${version}"`), version);
});
