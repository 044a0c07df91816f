import type { Operator } from '../../support/kubernetes/stand-ins.ts';

/** Those of the platform, as Argo CD and Kubernetes see them. */
export const operators: Operator[] = [
  {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    deployment: 'cloudnative-pg',
    status: {
      phase: 'Cluster in healthy state',
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          lastTransitionTime: '2026-01-01T00:00:00Z',
          reason: 'ClusterIsReady',
          message: '',
        },
      ],
    },
    claims: true,
  },
  {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Publication',
    deployment: 'cloudnative-pg',
    status: { applied: true },
    finalizer: 'cnpg.io/deletePublication',
  },
  {
    apiVersion: 'clickhouse.altinity.com/v1',
    kind: 'ClickHouseInstallation',
    deployment: 'clickhouse-operator',
    status: { status: 'Completed' },
    finalizer: 'finalizer.clickhouseinstallation.altinity.com',
    claims: true,
  },
];
