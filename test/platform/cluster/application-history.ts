import { setTimeout as delay } from 'node:timers/promises';
import type { Manifest } from '../../support/helm-chart.ts';
import type { KubeApi } from '../../support/kubernetes/kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';

const pollMs = 100;

/** Applications by name, as in `Synced/Healthy/Succeeded`: compared, running, and how its last sync ended. */
type Snapshot = Map<string, string>;

/** Which Applications there were when, and in which state; looks every 100 ms. */
export class ApplicationHistory implements AsyncDisposable {
  readonly #api: KubeApi;
  readonly #snapshots: Snapshot[] = [];
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;

  constructor(api: KubeApi) {
    this.#api = api;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const found = await this.#api.list('argoproj.io/v1alpha1', 'Application').catch(() => undefined);
      if (found)
        this.#snapshots.push(
          new Map(
            found.map(({ metadata, status }) => [
              metadata.name,
              `${status?.sync?.status}/${status?.health?.status}/${status?.operationState?.phase}`,
            ]),
          ),
        );
      await delay(pollMs);
    }
  }

  /** Of the Applications that there have been so far. */
  names(): string[] {
    return [...new Set(this.#snapshots.flatMap(now => [...now.keys()]))].sort();
  }

  /** Number of the first snapshot with the Application in such a state. */
  firstTime(name: string, state = /^/): number {
    const found = this.#snapshots.findIndex(now => now.has(name) && state.test(now.get(name)!));
    return found === -1 ? Number.POSITIVE_INFINITY : found;
  }

  /** Number of the last snapshot with the Application. */
  lastTime(name: string): number {
    return this.#snapshots.findLastIndex(now => now.has(name));
  }

  /** Resolves when `condition` holds for a snapshot that was made since this call. */
  async wait(what: string, condition: (now: Snapshot) => boolean): Promise<void> {
    const from = this.#snapshots.length + 1;
    try {
      await waitFor(() => this.#snapshots.slice(from).some(condition), {
        what,
        timeoutMs: 180_000,
      });
    } catch (error) {
      const found = await this.#api.list('argoproj.io/v1alpha1', 'Application');
      throw new Error([(error as Error).message, ...found.map(describe)].join('\n'));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }
}

/** State and complaints of an Application, for a person. */
function describe({ metadata, status = {} }: Manifest): string {
  const { sync, health, operationState, conditions = [] } = status;
  return [
    `${metadata.name}: ${sync?.status}, ${health?.status}, ${operationState?.phase}`,
    operationState?.message,
    ...conditions.map(({ type, message }: Manifest) => `${type}: ${message}`),
  ].join('\n  ');
}
