import { join } from 'node:path';
import { chartExamples, exampleValues, type Manifest, renderChart } from '../../support/helm-chart.ts';
import { folders, kustomize, patchedApplications } from '../apps/kustomize.ts';
import { application, documents } from '../apps/manifests.ts';
import { read } from '../apps/parts.ts';
import { names } from '../names.ts';
import { repository } from '../terraform/terraform.ts';

export interface Shipped {
  /** The folder or the values that it comes from. */
  from: string;
  object: Manifest;
  /** Where it goes when it names no namespace. */
  namespace: string;
}

/** Every object that a cluster gets from this repository. */
export function shippedObjects(): Shipped[] {
  const argocd = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: names.argocdNamespace } };
  const shipped: Shipped[] = [argocd, ...patchedApplications()].map(object => ({
    from: names.applicationsFolder,
    object,
    namespace: names.argocdNamespace,
  }));
  for (const folder of folders)
    for (const object of kustomize(join(repository, folder)))
      shipped.push({ from: folder, object, namespace: 'default' });

  const storage = 'terraform/modules/eks/storage-class/templates/gp3.yaml';
  for (const object of documents(read(storage)))
    shipped.push({ from: storage, object, namespace: 'default' });

  const { metadata, spec } = application(names.ingestionService);
  const { valuesObject } = spec.sources[0]!.helm!;
  const values = { ...valuesObject, image: { repository: 'ghcr.io/example/wal-cdc', tag: '1.2' } };
  const rendered = renderChart({
    [metadata.name]: { ...values, demoWriter: { ...valuesObject.demoWriter, enabled: true } },
    ...Object.fromEntries(
      chartExamples.map(name => [`helm/ingestion-service/ci/${name}`, exampleValues(name)]),
    ),
  });
  for (const [from, objects] of Object.entries(rendered))
    for (const object of objects.filter(({ raw }) => !raw))
      shipped.push({ from, object, namespace: spec.destination.namespace });
  return shipped;
}
