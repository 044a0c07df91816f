import { z } from 'zod';
import { schema } from '../../src/config/schema.ts';
import { leafAt, leaves } from '../../src/config/setting-tree.ts';

export interface JsonSchema {
  [key: string]: unknown;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
}

/** Whether a secret setting is a URL, which is secret only with a password in it. */
export const isUrl = (path: string) => /(url|registry|connect)$/i.test(path);
const isCertificate = (path: string) => /\.(rootCert|cert|key)$/.test(path);

/** Settings that may come from a Secret: those that are secret, and certificates. */
export function secretSettings(): string[] {
  return leaves.filter(({ path, info }) => info.secret || isCertificate(path)).map(({ path }) => path);
}

/** Settings that must come from a Secret; URLs may stand in values as long as they have no password. */
const onlySecret = (path: string, secret = false) => secret && !isUrl(path);

/** JSON schema of the service's configuration as the chart takes it: without `mode` and secrets. */
export function configSchema(): JsonSchema {
  const { $schema: _, ...whole } = z.toJSONSchema(schema, {
    io: 'output',
    unrepresentable: 'any',
  }) as JsonSchema;
  const { mode: __, ...properties } = whole.properties!;
  return adapt({ ...whole, properties }, []);
}

function adapt(node: JsonSchema, path: string[]): JsonSchema {
  // Everything has a default; how texts are checked is the service's business, apart from patterns.
  const { required: _, default: __, propertyNames: ___, ...adapted } = node;
  const leaf = leafAt(path);
  const info = leaf?.depth === path.length ? leaf.leaf.info : undefined;
  if (info) adapted.description = `${info.about}: ${info.expects}`;
  if (path.join('.') === 'batch.maxBytes') {
    const { type, minimum, maximum, ...rest } = adapted;
    return {
      ...rest,
      anyOf: [
        { type, minimum, maximum },
        { type: 'string', pattern: '^[0-9.]+ *([KMG]i?)?B?$' },
      ],
    };
  }
  if (adapted.properties)
    adapted.properties = Object.fromEntries(
      Object.entries(adapted.properties)
        .filter(([key]) => {
          const found = leafAt([...path, key]);
          return !onlySecret([...path, key].join('.'), found?.leaf.info.secret);
        })
        .map(([key, child]) => [key, adapt(child, [...path, key])]),
    );
  if (typeof adapted.additionalProperties === 'object')
    adapted.additionalProperties = adapt(adapted.additionalProperties, [...path, '*']);
  return adapted;
}
