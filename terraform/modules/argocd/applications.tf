locals {
  # Of the chart argocd-apps.
  root_values = {
    applications = merge({ wal-cdc = local.root_application }, { for name in local.monitored : name => local.monitoring_application })
    projects     = merge(local.projects, { for name in local.monitored : "wal-cdc-${name}" => local.monitoring_project })
  }

  monitored = var.monitoring ? ["monitoring"] : []

  finalizers = ["resources-finalizer.argocd.argoproj.io"]
  here       = "https://kubernetes.default.svc"

  # Everything that apps/ must not say itself, so that a fork edits nothing there: in each Application labelled
  # wal-cdc/source=git the first source is this repository; that of the ingestion service takes the image too.
  patches = concat(local.own_patches, [for name in local.monitored : local.monitoring_patch])
  own_patches = [
    {
      target = { kind = "Application", labelSelector = "wal-cdc/source=git" }
      patch = yamlencode([
        { op = "add", path = "/spec/sources/0/repoURL", value = var.repository_url },
        { op = "add", path = "/spec/sources/0/targetRevision", value = var.revision },
      ])
    },
    {
      target = { kind = "Application", name = "ingestion-service" }
      patch = yamlencode([
        {
          op   = "add"
          path = "/spec/sources/0/helm/parameters"
          value = [
            { name = "image.repository", value = var.image_repository },
            { name = "image.tag", value = var.image_tag, forceString = true },
          ]
        },
      ])
    },
  ]

  root_application = {
    namespace  = var.namespace
    finalizers = local.finalizers
    project    = "wal-cdc-root"

    source = {
      repoURL        = var.repository_url
      targetRevision = var.revision
      path           = "apps"
      kustomize      = { patches = local.patches }
    }

    destination = { server = local.here, namespace = var.namespace }

    syncPolicy = local.sync_policy
  }

  sync_policy = {
    automated = { prune = true, selfHeal = true }
    retry     = { limit = 10, backoff = { duration = "10s", factor = 2, maxDuration = "3m" } }
  }

  # The root may write Applications and nothing else; what they deploy may not touch Argo CD.
  projects = {
    wal-cdc-root = {
      namespace                  = var.namespace
      finalizers                 = local.finalizers
      description                = "The root Application"
      sourceRepos                = [var.repository_url]
      destinations               = [{ server = local.here, namespace = var.namespace }]
      clusterResourceWhitelist   = []
      namespaceResourceWhitelist = [{ group = "argoproj.io", kind = "Application" }]
    }

    wal-cdc = {
      namespace    = var.namespace
      finalizers   = local.finalizers
      description  = "PostgreSQL, Redpanda, Debezium, ClickHouse and the ingestion service"
      sourceRepos  = concat([var.repository_url], sort(var.chart_repositories))
      destinations = [for name in sort(var.workload_namespaces) : { server = local.here, namespace = name }]
      clusterResourceWhitelist = concat(local.cluster_resources, [
        { group = "admissionregistration.k8s.io", kind = "MutatingWebhookConfiguration" },
        { group = "admissionregistration.k8s.io", kind = "ValidatingWebhookConfiguration" },
      ])
    }
  }

  # What operators bring beside the objects of a namespace.
  cluster_resources = [
    { group = "", kind = "Namespace" },
    { group = "apiextensions.k8s.io", kind = "CustomResourceDefinition" },
    { group = "rbac.authorization.k8s.io", kind = "ClusterRole" },
    { group = "rbac.authorization.k8s.io", kind = "ClusterRoleBinding" },
  ]
}
