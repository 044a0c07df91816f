import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { tempDir } from '../../support/temp-dir.ts';
import { applications } from '../apps/manifests.ts';

/** Files for `crds/` of a chart, by its name. */
export type Definitions = Record<string, string[]>;

/**
 * A Helm repository with the charts that apps/ takes from elsewhere, in the versions that it names: those in charts/, which are small ones
 * of the same names, with the definitions of the operators. https://helm.sh/docs/topics/chart_repository/
 */
export class ChartRepository implements AsyncDisposable {
  readonly url: string;
  /** Names of charts that are there, but not to be had. */
  readonly withheld = new Set<string>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(definitions: Definitions): Promise<ChartRepository> {
    using dir = tempDir();
    const archives = new Map<string, Buffer>();
    const entries: Record<string, object[]> = {};
    for (const { chart, targetRevision } of applications().flatMap(({ spec }) => spec.sources)) {
      if (chart === undefined) continue;
      const folder = join(dir.path, chart);
      cpSync(join(import.meta.dirname, 'charts', chart), folder, { recursive: true });
      mkdirSync(join(folder, 'crds'));
      for (const file of definitions[chart] ?? []) cpSync(file, join(folder, 'crds', basename(file)));
      const about = { apiVersion: 'v2', name: chart, version: targetRevision };
      writeFileSync(join(folder, 'Chart.yaml'), JSON.stringify(about));
      const archive = `${chart}-${targetRevision}.tgz`;
      execFileSync('tar', ['-czf', archive, chart], { cwd: dir.path });
      archives.set(`/${archive}`, readFileSync(join(dir.path, archive)));
      entries[chart] = [{ ...about, urls: [archive] }];
    }
    archives.set('/index.yaml', Buffer.from(JSON.stringify({ apiVersion: 'v1', entries })));

    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const repository = new ChartRepository(server);
    server.on('request', ({ url = '' }, response) => {
      const isWithheld = [...repository.withheld].some(chart => url.startsWith(`/${chart}-`));
      const file = isWithheld ? undefined : archives.get(url);
      response.writeHead(file ? 200 : 404).end(file);
    });
    return repository;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
