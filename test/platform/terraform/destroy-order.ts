/** Which resource goes before which at `terraform destroy`, from the graph of its plan. */
export class DestroyOrder {
  readonly #after = new Map<string, string[]>();

  /** `graph`: what `terraform graph -plan=FILE` prints. */
  constructor(graph: string) {
    for (const [, later, earlier] of graph.matchAll(
      /"\[root\] (.+?) \(destroy\)" -> "\[root\] (.+?) \(destroy\)"/g,
    )) {
      const list = this.#after.get(plain(later!)) ?? [];
      this.#after.set(plain(later!), [...list, plain(earlier!)]);
    }
  }

  get resources(): string[] {
    return [...new Set([...this.#after.keys(), ...[...this.#after.values()].flat()])];
  }

  /** Whether `later` waits until `earlier` is gone. */
  isBefore(earlier: string, later: string): boolean {
    const seen = new Set<string>();
    const open = [later];
    for (let next = open.pop(); next !== undefined; next = open.pop())
      for (const resource of this.#after.get(next) ?? []) {
        if (resource === earlier) return true;
        if (!seen.has(resource)) open.push(resource);
        seen.add(resource);
      }
    return false;
  }
}

function plain(address: string): string {
  return address.replaceAll('\\"', '"');
}
