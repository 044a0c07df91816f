import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, globSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type TempDir, tempDir } from '../../support/temp-dir.ts';
import { readProviderSchema } from './provider-schema.ts';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));
export const terraformFolder = join(repository, 'terraform');

/** Of the schemas that fetch-providers.sh brings. */
const providerVersions = { aws: '6.66.0', helm: '3.1.1' };

/** What data sources answer, where an invented value would not do. */
const fixedValues = {
  aws_availability_zones: { names: ['us-east-1a', 'us-east-1b', 'us-east-1c'] },
  aws_partition: { partition: 'aws' },
  aws_region: { region: 'us-east-1' },
};

/** Where fetch-terraform.sh puts it when the machine does not have it. */
const path = `${process.env.PATH}:${join(repository, '.cache/tools/terraform/bin')}`;

/** Why `terraform fmt` cannot run here, or false: for `skip`. */
export const withoutFormatter = missing('terraform');

/** Why the tests with Terraform cannot run here, or false: for `skip`. */
export const withoutTerraform = missing('terraform', 'go');

function missing(...programs: string[]): string | false {
  const names = programs.filter(
    name => spawnSync(name, ['version'], { env: { PATH: path }, stdio: 'ignore' }).error,
  );
  return (
    names.length > 0 &&
    `${names.join(' and ')} not found${names[0] === 'terraform' ? ': test/platform/terraform/fetch-terraform.sh brings Terraform' : ''}`
  );
}

/** `terraform fmt -check` of everything. */
export function checkFormat(): Result {
  const { status, stdout, stderr } = spawnSync(
    'terraform',
    ['fmt', '-check', '-recursive', terraformFolder],
    {
      env: { PATH: path },
      encoding: 'utf8',
    },
  );
  return { code: status, output: stdout + stderr };
}

export interface Result {
  code: number | null;
  /** Both streams. */
  output: string;
}

/** A copy of terraform/ in a temporary folder, and the terraform that works on it with providers that need no cloud. */
export class Terraform implements Disposable {
  readonly #dir: TempDir = tempDir();
  readonly env: NodeJS.ProcessEnv;
  readonly logFile = join(this.#dir.path, 'log');

  constructor() {
    const providers = execFileSync(join(import.meta.dirname, 'fetch-providers.sh'), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }).trim();
    const at = (...parts: string[]) => join(this.#dir.path, ...parts);
    cpSync(terraformFolder, at('terraform'), {
      recursive: true,
      // What somebody who works with it has lying there must not come along.
      filter: path => !/\.terraform|tfstate|\.tfvars$|backend\.(tf|hcl)$/.test(path),
    });
    mkdirSync(at('schemas'));
    writeFileSync(at('schemas/fixed-values.json'), JSON.stringify(fixedValues));
    for (const [name, version] of Object.entries(providerVersions)) {
      const classes = generatedClasses(join(providers, `${name}.tgz`), name);
      const schema = readProviderSchema(classes, { nestedAttributes: name === 'helm' });
      writeFileSync(at('schemas', `${name}.json`), JSON.stringify(schema));
      const platform = execFileSync('go', ['env', 'GOOS', 'GOARCH'], { encoding: 'utf8' }).trim();
      const folder = at(
        `mirror/registry.terraform.io/hashicorp/${name}/${version}/${platform.replace('\n', '_')}`,
      );
      mkdirSync(folder, { recursive: true });
      place(join(providers, 'stub'), join(folder, `terraform-provider-${name}_v${version}`));
    }
    writeFileSync(
      at('terraformrc'),
      `provider_installation {\n  filesystem_mirror {\n    path = "${at('mirror')}"\n  }\n}\n`,
    );
    this.env = {
      PATH: path,
      HOME: this.#dir.path,
      CHECKPOINT_DISABLE: '1',
      TF_IN_AUTOMATION: '1',
      TF_CLI_CONFIG_FILE: at('terraformrc'),
      STUB_SCHEMAS: at('schemas'),
      STUB_LOG: this.logFile,
    };
  }

  pathOf(folder: string): string {
    return join(this.#dir.path, 'terraform', folder);
  }

  /** Runs `terraform ARGS…` in a folder of terraform/, such as `modules/vpc`. */
  run(folder: string, ...args: string[]): Result {
    return this.#run(folder, args, '');
  }

  #run(folder: string, args: string[], input: string): Result {
    const { status, stdout, stderr } = spawnSync('terraform', args, {
      cwd: this.pathOf(folder),
      env: this.env,
      input,
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    return { code: status, output: stdout + stderr };
  }

  /** As {@link run}; any failure is an error. */
  succeed(folder: string, ...args: string[]): string {
    return this.succeedWithInput(folder, '', ...args);
  }

  succeedWithInput(folder: string, input: string, ...args: string[]): string {
    const { code, output } = this.#run(folder, args, input);
    if (code !== 0) throw new Error(`terraform ${args.join(' ')} in ${folder}:\n${output}`);
    return output;
  }

  init(folder: string): void {
    this.succeed(folder, 'init', '-input=false', '-no-color');
  }

  /** What was created and destroyed so far, in order: `create aws_vpc 10.42.0.0/16`. */
  log(): string[] {
    return readFileSync(this.logFile, 'utf8').trim().split('\n');
  }

  [Symbol.dispose](): void {
    this.#dir[Symbol.dispose]();
  }
}

/** Of everything in terraform/ that belongs to the provider, and of the provider. */
function generatedClasses(archive: string, provider: string): string[] {
  const members = new Set(['package/lib/provider/index.js']);
  for (const file of globSync('**/*.tf', { cwd: terraformFolder }))
    for (const [, kind, type] of readFileSync(join(terraformFolder, file), 'utf8').matchAll(
      new RegExp(`^(resource|data) "${provider}_(\\w+)"`, 'gm'),
    ))
      members.add(
        `package/lib/${kind === 'data' ? `data-${provider}-` : ''}${type!.replaceAll('_', '-')}/index.js`,
      );
  using dir = tempDir();
  execFileSync('tar', ['-xzf', archive, '-C', dir.path, ...members]);
  return [...members].map(member => readFileSync(join(dir.path, member), 'utf8'));
}

function place(file: string, target: string): void {
  try {
    linkSync(file, target);
  } catch {
    // Another file system.
    cpSync(file, target);
  }
}
