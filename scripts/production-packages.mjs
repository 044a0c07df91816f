/**
 * Leaves in the package.json of the current folder what the service needs in production: no tools, and of the optional
 * packages, which are embedded databases and Node itself, only the fast checksum of Kafka's records. Run by the Dockerfile;
 * `npm install` then takes the versions that package-lock.json has.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const kept = ['@node-rs/crc32'];

const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
manifest.optionalDependencies = Object.fromEntries(
  Object.entries(manifest.optionalDependencies).filter(([name]) => kept.includes(name)),
);
delete manifest.devDependencies;
delete manifest.allowScripts;
writeFileSync('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
