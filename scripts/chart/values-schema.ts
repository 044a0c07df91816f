import type { JsonSchema } from './config-schema.ts';

const text = (more = {}): JsonSchema => ({ type: 'string', ...more });
const whole = (minimum: number, maximum?: number): JsonSchema => ({
  type: 'integer',
  minimum,
  ...(maximum !== undefined && { maximum }),
});
const flag: JsonSchema = { type: 'boolean' };
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
/** A part of Kubernetes' own objects: the API server knows it. */
const object: JsonSchema = { type: 'object' };
const texts: JsonSchema = { type: 'object', additionalProperties: { type: 'string' } };
const section = (properties: Record<string, JsonSchema>): JsonSchema => ({
  type: 'object',
  properties,
  additionalProperties: false,
});

/** Of values.yaml. Unknown values are refused, so that a misspelt one does not pass for the default. */
export function valuesSchema(config: JsonSchema, secretSettings: string[]): JsonSchema {
  const reference = { $ref: '#/$defs/secretKey' };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Values of ingestion-service; written by scripts/chart.ts',
    ...section({
      mode: { enum: ['synthetic', 'cdc', 'wal'] },
      config: { $ref: '#/$defs/config' },
      secrets: { $ref: '#/$defs/secrets' },
      image: section({
        repository: text({ pattern: '^([a-z0-9.:/_-]+)?$' }),
        tag: text(),
        digest: text({ pattern: '^(sha256:[0-9a-f]{64})?$' }),
        pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
      }),
      imagePullSecrets: list(section({ name: text() })),
      replicas: whole(0),
      rollingUpdate: flag,
      autoscaling: section({
        type: { enum: ['none', 'cpu', 'lag'] },
        minReplicas: whole(1),
        maxReplicas: whole(1),
        cpuPercent: whole(1, 100),
        lagMessages: whole(1),
        triggerAuthentication: text(),
      }),
      resources: object,
      terminationGracePeriodSeconds: whole(1),
      podDisruptionBudget: section({ enabled: flag }),
      service: section({ port: whole(1, 65535) }),
      serviceMonitor: section({ enabled: flag, interval: text({ pattern: '^[0-9]+(s|m)$' }), labels: texts }),
      prometheusRule: section({ enabled: flag, labels: texts, runbookUrl: text(), disabled: list(text()) }),
      dashboard: section({ enabled: flag, labels: texts }),
      networkPolicy: section({ enabled: flag, from: list(object), to: list(object), egress: list(object) }),
      serviceAccount: section({ annotations: texts }),
      topologySpread: flag,
      nodeSelector: texts,
      tolerations: list(object),
      podAnnotations: texts,
      podLabels: texts,
      nameOverride: text({ pattern: '^([a-z]([a-z0-9-]*[a-z0-9])?)?$', maxLength: 50 }),
      demoWriter: section({
        enabled: flag,
        config: { $ref: '#/$defs/config' },
        secrets: { $ref: '#/$defs/secrets' },
        resources: object,
      }),
      // Helm puts these in where the chart is part of another.
      global: object,
    }),
    $defs: {
      config,
      secretKey: {
        ...section({ name: text({ minLength: 1 }), key: text({ minLength: 1 }) }),
        required: ['name', 'key'],
      },
      secrets: section(Object.fromEntries(secretSettings.map(setting => [setting, reference]))),
    },
  };
}
