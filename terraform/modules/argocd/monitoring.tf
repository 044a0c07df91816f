# Prometheus and Grafana, for those who want them: an Application beside the root, in a project and a namespace of its own. Then the
# ingestion service has its metrics read, and brings its alerts and its dashboard.
locals {
  monitoring_namespace  = "wal-cdc-monitoring"
  monitoring_repository = "https://prometheus-community.github.io/helm-charts"

  monitoring_application = {
    namespace  = var.namespace
    finalizers = local.finalizers
    project    = "wal-cdc-monitoring"

    source = {
      repoURL        = local.monitoring_repository
      chart          = "kube-prometheus-stack"
      targetRevision = var.monitoring_chart_version
      helm           = { releaseName = "monitoring", valuesObject = local.monitoring_values }
    }

    destination = { server = local.here, namespace = local.monitoring_namespace }

    syncPolicy = merge(local.sync_policy, {
      # The definitions are too large for the annotation that other ways of applying keep.
      syncOptions              = ["CreateNamespace=true", "ServerSideApply=true"]
      managedNamespaceMetadata = { labels = { "pod-security.kubernetes.io/enforce" = "restricted" } }
    })
  }

  monitoring_project = {
    namespace                = var.namespace
    finalizers               = local.finalizers
    description              = "Prometheus and Grafana"
    sourceRepos              = [local.monitoring_repository]
    destinations             = [{ server = local.here, namespace = local.monitoring_namespace }]
    clusterResourceWhitelist = local.cluster_resources
  }

  # What the chart makes in other namespaces is off, as is what needs a webhook or the nodes themselves.
  monitoring_values = {
    kubeApiServer         = { enabled = false }
    kubeControllerManager = { enabled = false }
    kubeEtcd              = { enabled = false }
    kubeProxy             = { enabled = false }
    kubeScheduler         = { enabled = false }
    kubelet               = { enabled = false }
    coreDns               = { enabled = false }
    nodeExporter          = { enabled = false }
    alertmanager          = { enabled = false }
    defaultRules          = { create = false }

    kube-state-metrics = { resources = { requests = { cpu = "10m", memory = "64Mi" }, limits = { memory = "256Mi" } } }

    prometheusOperator = {
      admissionWebhooks       = { enabled = false }
      tls                     = { enabled = false }
      kubeletService          = { enabled = false }
      kubeletEndpointsEnabled = false
      resources               = { requests = { cpu = "20m", memory = "96Mi" }, limits = { memory = "256Mi" } }
    }

    prometheus = {
      prometheusSpec = {
        # Those of every release in every namespace, not of this one alone.
        serviceMonitorSelectorNilUsesHelmValues = false
        ruleSelectorNilUsesHelmValues           = false
        # In a volume that goes with the pod.
        retention = "2d"
        resources = { requests = { cpu = "100m", memory = "512Mi" }, limits = { memory = "1Gi" } }
      }
    }

    grafana = {
      defaultDashboardsEnabled = false
      testFramework            = { enabled = false }
      # Nobody logs in: who can reach it may look. There is no password to keep.
      env = { GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION = "true" }
      "grafana.ini" = {
        auth             = { disable_login_form = true }
        "auth.anonymous" = { enabled = true, org_role = "Viewer" }
      }
      # Without an administrator nothing can be reloaded: sources are there before it starts, dashboards are looked for.
      sidecar = {
        datasources = { initDatasources = true, skipReload = true }
        dashboards  = { skipReload = true }
        resources   = { requests = { cpu = "10m", memory = "64Mi" }, limits = { memory = "256Mi" } }
      }
      resources = { requests = { cpu = "50m", memory = "192Mi" }, limits = { memory = "512Mi" } }
    }
  }

  # For the links in alerts: how GitHub and GitLab call a folder of a repository.
  runbook_url = "${trimsuffix(var.repository_url, ".git")}/blob/${var.revision}/docs/runbooks"

  # What the ingestion service has then.
  monitoring_patch = {
    target = { kind = "Application", name = "ingestion-service" }
    patch = yamlencode([
      { op = "add", path = "/spec/sources/0/helm/valuesObject/serviceMonitor", value = { enabled = true } },
      { op = "add", path = "/spec/sources/0/helm/valuesObject/prometheusRule", value = { enabled = true, runbookUrl = local.runbook_url } },
      { op = "add", path = "/spec/sources/0/helm/valuesObject/dashboard", value = { enabled = true } },
      {
        op    = "add"
        path  = "/spec/sources/0/helm/valuesObject/networkPolicy/from"
        value = [{ namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = local.monitoring_namespace } } }]
      },
    ])
  }
}
