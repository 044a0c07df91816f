import { setTimeout as delay } from 'node:timers/promises';
import type { Manifest } from '../helm-chart.ts';
import type { KubeApi } from './kube-api.ts';

/** How an operator takes care of one object, as far as others can see. */
export interface Operator {
  apiVersion: string;
  kind: string;
  /** Name of its Deployment in the namespace of its objects. */
  deployment: string;
  /** What it says of an object that is done. */
  status: Manifest;
  /** It keeps its objects from going before it has taken down what it made of them. */
  finalizer?: string;
  /** It makes a claim for each. */
  claims?: boolean;
}

export interface StandInOptions {
  operators: Operator[];
  /** How long everything takes to become ready. */
  startMs: number;
}

const pollMs = 200;

/**
 * Plays nodes and operators for a cluster that has none: pods become ready or, if they are to end, succeed, claims are bound; objects of operators
 * get the status and finalizers that the operator would give them, as long as it is there itself. Nothing runs.
 */
export class StandIns implements AsyncDisposable {
  readonly #api: KubeApi;
  readonly #options: StandInOptions;
  readonly #since = new Map<string, number>();
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;

  constructor(api: KubeApi, options: StandInOptions) {
    this.#api = api;
    this.#options = options;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      // Objects come and go meanwhile, and kinds come with their operators.
      await this.#round().catch(() => {});
      await delay(pollMs);
    }
  }

  async #round(): Promise<void> {
    for (const pod of await this.#api.list('v1', 'Pod')) {
      const status = podStatus(pod);
      if (status && this.#isDue(pod)) await this.#setStatus('v1', 'Pod', pod, status);
    }
    for (const claim of await this.#api.list('v1', 'PersistentVolumeClaim'))
      if (claim.status?.phase !== 'Bound')
        await this.#setStatus('v1', 'PersistentVolumeClaim', claim, { phase: 'Bound' });
    for (const operator of this.#options.operators) await this.#operate(operator).catch(() => {});
  }

  async #operate({ apiVersion, kind, deployment, status, finalizer, claims }: Operator): Promise<void> {
    for (const object of await this.#api.list(apiVersion, kind)) {
      const { name, namespace, uid, deletionTimestamp, finalizers = [] } = object.metadata;
      const own = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: deployment, namespace } };
      const present = await this.#api.get(own);
      if (present === undefined || present.metadata.deletionTimestamp) continue;
      const id = { apiVersion, kind, metadata: { name, namespace } };
      if (deletionTimestamp) {
        const others = finalizers.filter((each: string) => each !== finalizer);
        await this.#api.patch(id, { metadata: { finalizers: others } });
        continue;
      }
      if (finalizer && !finalizers.includes(finalizer))
        await this.#api.patch(id, { metadata: { finalizers: [...finalizers, finalizer] } });
      if (claims)
        await this.#api.put({
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: {
            name: `${name}-1`,
            namespace,
            ownerReferences: [{ apiVersion, kind, name, uid, controller: true }],
          },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        });
      const isDone = Object.keys(status).every(key => object.status?.[key] !== undefined);
      if (!isDone && this.#isDue(object)) await this.#setStatus(apiVersion, kind, object, status);
    }
  }

  #isDue({ metadata }: Manifest): boolean {
    const since = this.#since.get(metadata.uid) ?? performance.now();
    this.#since.set(metadata.uid, since);
    return performance.now() - since >= this.#options.startMs;
  }

  async #setStatus(
    apiVersion: string,
    kind: string,
    { metadata }: Manifest,
    status: Manifest,
  ): Promise<void> {
    await this.#api.patch({ apiVersion, kind, metadata }, { status }, 'status');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }
}

/** Of a pod that has started, and for one that is to end has ended; undefined when it says so already. */
function podStatus({ spec, status }: Manifest): Manifest | undefined {
  if (status?.phase === 'Succeeded' || status?.phase === 'Running') return undefined;
  const now = new Date().toISOString().replace(/\.\d+/, '');
  const ends = spec.restartPolicy !== 'Always';
  const state = ends
    ? { terminated: { exitCode: 0, startedAt: now, finishedAt: now } }
    : { running: { startedAt: now } };
  const conditions = ends ? ['PodScheduled'] : ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'];
  return {
    phase: ends ? 'Succeeded' : 'Running',
    startTime: now,
    conditions: conditions.map(type => ({ type, status: 'True', lastTransitionTime: now })),
    containerStatuses: spec.containers.map(({ name, image }: Manifest) => ({
      name,
      image,
      imageID: '',
      restartCount: 0,
      ready: !ends,
      started: !ends,
      state,
    })),
  };
}
