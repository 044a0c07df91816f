/** Names that Terraform, the Applications, the chart, the scripts and the documents must agree on. */
export const names = {
  cluster: 'postgres-wal-cdc-cluster',
  /** Tag of everything in AWS that belongs to a cluster; its value is the name of the cluster. */
  clusterTag: 'wal-cdc-cluster',
  argocdNamespace: 'wal-cdc-argocd',
  /** Of Prometheus and Grafana, where they are wanted. */
  monitoringNamespace: 'wal-cdc-monitoring',
  workloadNamespaces: [
    'wal-cdc',
    'wal-cdc-clickhouse',
    'wal-cdc-debezium',
    'wal-cdc-postgres',
    'wal-cdc-redpanda',
  ],
  /** Of the root Application, with a kustomization. */
  applicationsFolder: 'apps',
  /** The Application whose first source takes the parameters image.repository and image.tag. */
  ingestionService: 'ingestion-service',
  /** Of each Application whose first source is this repository: Terraform says which and at which revision. */
  gitSourceLabel: 'wal-cdc/source=git',
};
