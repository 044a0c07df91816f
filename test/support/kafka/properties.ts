import { writeFileSync } from 'node:fs';

/** A file as java.util.Properties reads it. Names need no quoting here: letters, digits, `.`, `-` and `_`. */
export function writeProperties(file: string, properties: Readonly<Record<string, string>>): void {
  const lines = Object.entries(properties).map(
    ([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`,
  );
  writeFileSync(file, lines.join(''));
}
