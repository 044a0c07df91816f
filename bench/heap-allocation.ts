import v8 from 'node:v8';

/**
 * Bytes allocated on the JS heap from the construction on, garbage included and buffers outside of the heap not. Exact:
 * what the heap grew between each collection's end and the next one's begin, summed.
 */
export class HeapAllocation {
  readonly #profiler = new v8.GCProfiler();
  readonly #startBytes: number;

  constructor() {
    this.#profiler.start();
    this.#startBytes = v8.getHeapStatistics().used_heap_size;
  }

  /** Ends the measurement. */
  bytes(): number {
    const endBytes = v8.getHeapStatistics().used_heap_size;
    const { statistics } = this.#profiler.stop()!;
    let allocated = 0;
    let last = this.#startBytes;
    for (const { beforeGC, afterGC } of statistics) {
      allocated += beforeGC.heapStatistics.usedHeapSize - last;
      last = afterGC.heapStatistics.usedHeapSize;
    }
    return allocated + endBytes - last;
  }
}
