import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { names } from '../names.ts';
import { checkFormat, repository, terraformFolder, withoutFormatter } from './terraform.ts';

const read = (file: string) => readFileSync(join(terraformFolder, file), 'utf8');
const files = globSync('**/*.{tf,hcl}', { cwd: terraformFolder, exclude: ['**/.terraform/**'] }).sort();
const modules = ['argocd', 'eks', 'iam', 'vpc'].map(name => `modules/${name}`);
const environments = globSync('environments/*', { cwd: terraformFolder });

/** `variable "a" {…}`: name and body of each block of that kind at the outermost level. */
function blocks(kind: string, folder: string): { name: string; body: string; file: string }[] {
  return files
    .filter(file => dirname(file) === folder)
    .flatMap(file =>
      [...read(file).matchAll(new RegExp(`^${kind} "(.+)" \\{\\n([\\s\\S]*?)^\\}`, 'gm'))].map(
        ([, name, body]) => ({ name: name!, body: body!, file }),
      ),
    );
}

test('there are the four modules, each with the usual files and tests', () => {
  assert.deepEqual(globSync('modules/*', { cwd: terraformFolder }).sort(), modules);
  for (const folder of [...modules, ...environments]) {
    for (const name of ['main', 'variables', 'outputs', 'versions'])
      assert.ok(existsSync(join(terraformFolder, folder, `${name}.tf`)), `${folder}/${name}.tf`);
    assert.ok(globSync('tests/*.tftest.hcl', { cwd: join(terraformFolder, folder) }).length > 0, folder);
  }
});

test('every variable is described, typed and validated, or handed on to a module that validates it', () => {
  const isValidated = new Map<string, boolean>();
  for (const folder of modules)
    for (const { name, body } of blocks('variable', folder))
      isValidated.set(`${folder} ${name}`, /\n {2}validation \{/.test(body));
  for (const folder of [...modules, ...environments])
    for (const { name, body, file } of blocks('variable', folder)) {
      const where = `${file}: ${name}`;
      assert.match(body, /^ {2}description = "[A-Z].{10,}[.]"$/m, `${where} is not described by a sentence`);
      assert.match(body, /^ {2}type +=/m, `${where} has no type`);
      const handedOn = blocks('module', folder).some(
        call =>
          new RegExp(`^ {2}${name} += var\\.${name}$`, 'm').test(call.body) &&
          isValidated.get(`modules/${call.name} ${name}`),
      );
      assert.ok(/\n {2}validation \{/.test(body) || handedOn, `${where} is not validated`);
    }
  assert.ok([...isValidated.values()].every(Boolean));
});

test('every refusal names its variable', () => {
  for (const folder of [...modules, ...environments])
    for (const { name, body } of blocks('variable', folder))
      for (const [, message] of body.matchAll(/error_message = "((?:[^"\\]|\\.)*)/g))
        assert.ok(message!.startsWith(name), `${folder}: ${message}`);
});

test('every output is described', () => {
  for (const folder of [...modules, ...environments])
    for (const { name, body, file } of blocks('output', folder))
      assert.match(body, /^ {2}description = "[A-Z].{5,}[.]"$/m, `${file}: ${name}`);
});

test('every variable of a module is used', () => {
  for (const folder of [...modules, ...environments]) {
    const text = files.filter(file => dirname(file) === folder && !file.endsWith('variables.tf')).map(read);
    for (const { name } of blocks('variable', folder))
      assert.match(text.join('\n'), new RegExp(`var\\.${name}\\b`), `${folder}: ${name}`);
  }
});

test('names are those that the rest of the platform uses', () => {
  const defaults = (folder: string) =>
    Object.fromEntries(
      blocks('variable', folder).map(({ name, body }) => [name, /^ {2}default += (.*)$/m.exec(body)?.[1]]),
    );
  assert.equal(defaults('environments/dev').name, `"${names.cluster}"`);
  assert.equal(defaults('modules/argocd').namespace, `"${names.argocdNamespace}"`);
  assert.equal(
    defaults('modules/argocd').workload_namespaces,
    `[${names.workloadNamespaces.map(name => `"${name}"`).join(', ')}]`,
  );
  const applications = read('modules/argocd/applications.tf');
  assert.match(applications, new RegExp(`path +=\\s"${names.applicationsFolder}"`));
  assert.match(applications, new RegExp(`name = "${names.ingestionService}"`));
  assert.match(applications, new RegExp(`labelSelector = "${names.gitSourceLabel}"`));
});

test('what costs or is found by its tag carries the tag of the cluster', () => {
  assert.match(
    read('environments/dev/main.tf'),
    new RegExp(`tags = \\{ ${names.clusterTag} = var\\.name \\}`),
  );
  assert.match(readFileSync(join(repository, 'scripts/teardown'), 'utf8'), new RegExp(names.clusterTag));
});

test('the default storage class makes volumes that go with their claims', () => {
  const storageClass = read('modules/eks/storage-class/templates/gp3.yaml');
  for (const line of [
    'storageclass.kubernetes.io/is-default-class: "true"',
    'provisioner: ebs.csi.aws.com',
    'type: gp3',
    'encrypted: "true"',
    'volumeBindingMode: WaitForFirstConsumer',
    'reclaimPolicy: Delete',
  ])
    assert.match(storageClass, new RegExp(`^ *${line}$`, 'm'));
});

test('no secret, account or address of somebody is in the files', () => {
  for (const file of globSync('**/*', {
    cwd: terraformFolder,
    withFileTypes: true,
    exclude: ['**/.terraform/**'],
  }))
    if (file.isFile()) {
      const text = readFileSync(join(file.parentPath, file.name), 'utf8');
      assert.doesNotMatch(text, /AKIA[A-Z0-9]{16}|BEGIN [A-Z ]*PRIVATE KEY|ghp_\w{20}/, file.name);
      for (const [account] of text.matchAll(/\b\d{12}\b/g)) assert.equal(account, '123456789012', file.name);
    }
});

test('terraform fmt would change nothing', { skip: withoutFormatter }, () => {
  const { code, output } = checkFormat();
  assert.equal(code, 0, output);
});
