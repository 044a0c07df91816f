import { globSync } from 'node:fs';
import { read } from './apps/parts.ts';
import { repository } from './terraform/terraform.ts';

/** docs/deploy.md, for the tests that do what it says. */
export const page = read('docs/deploy.md');

/** Lines of its blocks of shell, continued ones as one. */
export const commands = linesOf(page);

/** Those below one of its headings, up to the next of any level. */
export function commandsUnder(heading: string): string[] {
  const section = page.split(/^(?=#+ )/m).find(part => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/deploy.md has no "${heading}"`);
  return linesOf(section);
}

function linesOf(text: string): string[] {
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) =>
    block!
      .replaceAll(/\\\n */g, '')
      .trim()
      .split('\n'),
  );
}

/**
 * Every call of a program on the pages for those who run it in a cluster, in blocks, in sentences and within other commands: without
 * comments, pipes and redirections.
 */
export function callsOf(program: string): string[] {
  const pages = globSync(['docs/deploy.md', 'docs/operations.md', 'docs/runbooks/*.md'], { cwd: repository });
  const code = pages.flatMap(file => [
    ...linesOf(read(file)).map(line => line.replace(/ +#.*/, '')),
    ...[...read(file).matchAll(/`([^`\n…]+)`/g)].map(([, span]) => span!),
  ]);
  const call = new RegExp(`(?<=^|[( |])${program} (?:"[^"]*"|'[^']*'|[^"'|)>;])+`, 'g');
  return [...new Set(code.flatMap(text => text.match(call) ?? []).map(text => text.trim()))];
}
