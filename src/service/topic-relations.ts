import type { Relation } from '../core/relation.ts';
import type { TopicRelation } from '../sources/kafka/batch-filler.ts';
import type { Layout } from '../sources/kafka/envelope.ts';

/** The table that a topic is named for; topics are named PREFIX.SCHEMA.TABLE. */
export function tableOfTopic(topic: string): { schema: string; name: string } {
  const [name = topic, schema = 'public'] = topic.split('.').reverse();
  return { schema, name };
}

/** Numbers tables as they come up, and makes one relation for each shape of their rows. */
export function buildRelations(): (
  topic: string,
  layout: Layout,
  schema: string,
  table: string,
) => TopicRelation {
  const ids = new Map<string, number>();
  const relations = new Map<Layout, Map<string, TopicRelation>>();
  return (topic, layout, saidSchema, saidName) => {
    // Flattened rows need not say it.
    const { schema, name } = saidName === '' ? tableOfTopic(topic) : { schema: saidSchema, name: saidName };
    const table = JSON.stringify([schema, name]);
    let ofLayout = relations.get(layout);
    if (!ofLayout) relations.set(layout, (ofLayout = new Map()));
    let relation = ofLayout.get(table);
    if (!relation) {
      const id = ids.get(table) ?? ids.size + 1;
      ids.set(table, id);
      const described: Relation = {
        id,
        schema,
        name,
        replicaIdentity: 'd',
        columns: layout.names.map((column, i) => ({
          name: column,
          type: unresolved,
          typmod: -1,
          notNull: false,
          wire: layout.wires[i]!,
        })),
        messageKey: layout.key,
      };
      relation = { relation: described, keyless: layout.key === undefined };
      ofLayout.set(table, relation);
    }
    return relation;
  };
}

/** The table knows the types of its columns. */
const unresolved = { oid: 0, name: 'unknown', schema: 'pg_catalog', kind: 'pseudo' } as const;
