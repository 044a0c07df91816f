import type { Manifest } from '../../support/helm-chart.ts';
import { Terraform } from '../terraform/terraform.ts';

const folder = 'modules/argocd';

/** What terraform/modules/argocd hands to the two charts of Argo CD. */
export interface Root {
  /** For ConfigMap argocd-cm. */
  settings: Record<string, string>;
  /** What the chart argocd-apps makes: the projects and the root Application. */
  objects: Manifest[];
}

export function rootOf(variables: Record<string, string>): Root {
  using terraform = new Terraform();
  terraform.init(folder);
  const set = Object.entries(variables).map(([name, value]) => `-var=${name}=${value}`);
  const value = (expression: string): Manifest =>
    // A string that is JSON, of which it prints a string of Terraform, which JSON can read too.
    JSON.parse(
      JSON.parse(terraform.succeedWithInput(folder, `jsonencode(${expression})`, 'console', ...set)),
    );
  const { applications, projects } = value('local.root_values');
  return {
    settings: value('local.argocd_values').configs.cm,
    objects: [...objects('AppProject', projects), ...objects('Application', applications)],
  };
}

function objects(kind: string, described: Record<string, Manifest>): Manifest[] {
  return Object.entries(described).map(([name, { namespace, finalizers, ...spec }]) => ({
    apiVersion: 'argoproj.io/v1alpha1',
    kind,
    metadata: { name, namespace, finalizers },
    spec,
  }));
}
