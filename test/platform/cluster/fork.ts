import { execFileSync } from 'node:child_process';
import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';

/** What Argo CD reads of this repository. */
const folders = [names.applicationsFolder, 'clickhouse', 'helm', 'platform'];

/** A repository in Git with what Argo CD reads of this one. */
export class Fork {
  readonly dir: string;
  readonly url: string;

  /** @param replacements in apps/: what a test cannot reach, and what stands in for it */
  constructor(dir: string, replacements: Record<string, string>) {
    this.dir = dir;
    this.url = `file://${dir}`;
    for (const folder of folders) cpSync(join(repository, folder), join(dir, folder), { recursive: true });
    for (const file of globSync(`${names.applicationsFolder}/*.yaml`, { cwd: dir }))
      for (const [from, to] of Object.entries(replacements))
        this.#write(file, text => text.replaceAll(from, to));
    this.#git('init', '--quiet', '--initial-branch=main');
    this.#commit();
  }

  /** Commits a change of one file. */
  change(file: string, from: string, to: string): void {
    this.#write(file, text => text.replace(from, to));
    this.#commit();
  }

  #write(file: string, change: (text: string) => string): void {
    const path = join(this.dir, file);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  }

  #commit(): void {
    this.#git('add', '.');
    this.#git(
      '-c',
      'user.name=test',
      '-c',
      'user.email=test@example.com',
      'commit',
      '--quiet',
      '--message=test',
    );
  }

  #git(...args: string[]): void {
    execFileSync('git', args, { cwd: this.dir });
  }
}
