/** A module as `terraform show -json` prints it, of a plan (`planned_values.root_module`) or of the state (`values.root_module`). */
export interface ShownModule {
  resources?: ShownResource[];
  child_modules?: ShownModule[];
}

export interface ShownResource {
  /** As in `module.vpc.aws_subnet.private[0]`. */
  address: string;
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: what the resource has.
  values: Record<string, any>;
}

/** Of the module and of all that it calls. */
export function resourcesOf(module: ShownModule): ShownResource[] {
  return [...(module.resources ?? []), ...(module.child_modules ?? []).flatMap(resourcesOf)];
}

/** Values of all resources of a type, such as `aws_subnet`. */
export function valuesOf(module: ShownModule, type: string): ShownResource['values'][] {
  return resourcesOf(module).flatMap(resource => (resource.type === type ? [resource.values] : []));
}
