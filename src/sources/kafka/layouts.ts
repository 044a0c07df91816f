import type { Wire } from '../../core/relation.ts';
import type { Fields } from './connect-schema.ts';
import type { Layout } from './envelope.ts';
import type { KeyFields } from './message-key.ts';

const schemaless: Wire = {};
const noKey = {};

/** The layouts of a topic: equal ones are one object. */
export class Layouts {
  readonly #known = new Map<string, Layout>();
  readonly #byFields = new WeakMap<Fields, WeakMap<object, Layout>>();

  /** `wires`: `undefined` where messages carry no schema. */
  get(
    names: readonly string[],
    wires: readonly Wire[] | undefined,
    key: readonly string[] | undefined,
  ): Layout {
    const text = JSON.stringify([names, wires, key]);
    let layout = this.#known.get(text);
    if (!layout) {
      layout = { names, wires: wires ?? names.map(() => schemaless), key };
      this.#known.set(text, layout);
    }
    return layout;
  }

  /** The same, of a schema that many messages have. */
  of(row: Fields, key: KeyFields | null): Layout {
    let byKey = this.#byFields.get(row);
    if (!byKey) this.#byFields.set(row, (byKey = new WeakMap()));
    let layout = byKey.get(key ?? noKey);
    if (!layout) {
      layout = this.get(row.names, row.wires, key?.names);
      byKey.set(key ?? noKey, layout);
    }
    return layout;
  }
}
