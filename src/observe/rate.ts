const seconds = 6;

/** Rows per second over the last five full seconds (fewer after the start). */
export class Rate {
  readonly #counts = new Float64Array(seconds);
  readonly #secondNumbers = new Float64Array(seconds).fill(-1);
  #first = -1;

  add(count: number, nowMs: number): void {
    const number = Math.floor(nowMs / 1000);
    if (this.#first < 0) this.#first = number;
    const i = number % seconds;
    if (this.#secondNumbers[i] !== number) {
      this.#secondNumbers[i] = number;
      this.#counts[i] = 0;
    }
    this.#counts[i]! += count;
  }

  perSecond(nowMs: number): number {
    const now = Math.floor(nowMs / 1000);
    if (this.#first < 0) return 0;
    let sum = 0;
    for (let i = 0; i < seconds; i++) {
      const number = this.#secondNumbers[i]!;
      if (number < now && number >= now - (seconds - 1)) sum += this.#counts[i]!;
    }
    return sum / Math.min(seconds - 1, Math.max(1, now - this.#first));
  }
}
