mock_provider "helm" {}

variables {
  repository_url   = "https://example.com/me/fork.git"
  revision         = "trial"
  image_repository = "registry.example.com/me/wal-cdc"
  image_tag        = "1.2.3"
}

run "argo_cd_and_the_root" {
  command = plan

  assert {
    condition     = helm_release.argocd.namespace == "wal-cdc-argocd" && helm_release.root.namespace == "wal-cdc-argocd"
    error_message = "Argo CD must be in wal-cdc-argocd."
  }

  assert {
    condition     = helm_release.root.wait && helm_release.root.timeout == 1800
    error_message = "A teardown must wait until the Applications are gone."
  }

  assert {
    condition     = strcontains(yamldecode(helm_release.argocd.values[0]).configs.cm["resource.customizations.health.argoproj.io_Application"], "obj.status.health")
    error_message = "Waves must wait for Applications."
  }

  assert {
    condition     = yamldecode(helm_release.argocd.values[0]).crds.keep == false
    error_message = "The definitions must go with Argo CD."
  }

  assert {
    condition     = local.root_application.finalizers == ["resources-finalizer.argocd.argoproj.io"] && local.root_application.source.path == "apps"
    error_message = "Deleting the root must delete everything."
  }
}

run "what_a_fork_changes_is_in_one_place" {
  command = plan

  assert {
    condition     = local.root_application.source.repoURL == var.repository_url && local.root_application.source.targetRevision == "trial"
    error_message = "The root must be read from the fork."
  }

  assert {
    condition = { for operation in yamldecode(local.patches[0].patch) : operation.path => operation.value } == {
      "/spec/sources/0/repoURL"        = "https://example.com/me/fork.git"
      "/spec/sources/0/targetRevision" = "trial"
    }
    error_message = "Every Application with sources from this repository must be read from the fork."
  }

  assert {
    condition     = [for parameter in yamldecode(local.patches[1].patch)[0].value : parameter.value] == ["registry.example.com/me/wal-cdc", "1.2.3"]
    error_message = "The ingestion service must run the given image."
  }
}

run "projects_keep_applications_in_their_namespaces" {
  command = plan

  assert {
    condition     = local.projects.wal-cdc-root.namespaceResourceWhitelist == [{ group = "argoproj.io", kind = "Application" }] && local.projects.wal-cdc-root.clusterResourceWhitelist == []
    error_message = "The root may write Applications and nothing else."
  }

  assert {
    condition     = !contains([for destination in local.projects.wal-cdc.destinations : destination.namespace], "wal-cdc-argocd") && contains(local.projects.wal-cdc.sourceRepos, var.repository_url)
    error_message = "Applications must not write to Argo CD's namespace."
  }
}

run "monitoring_is_off" {
  command = plan

  assert {
    condition     = keys(local.root_values.applications) == ["wal-cdc"] && keys(local.root_values.projects) == ["wal-cdc", "wal-cdc-root"] && length(local.patches) == 2
    error_message = "Without being asked for, nothing of monitoring may come."
  }
}

run "monitoring_comes_with_one_variable" {
  command = plan

  variables {
    monitoring = true
  }

  assert {
    condition     = keys(local.root_values.applications) == ["monitoring", "wal-cdc"] && local.root_values.applications.monitoring.project == "wal-cdc-monitoring" && contains(keys(local.root_values.projects), "wal-cdc-monitoring")
    error_message = "Prometheus and Grafana must come as an Application in a project of their own."
  }

  assert {
    condition     = local.root_values.projects.wal-cdc-monitoring.sourceRepos == [local.root_values.applications.monitoring.source.repoURL] && local.root_values.projects.wal-cdc-monitoring.destinations[*].namespace == ["wal-cdc-monitoring"]
    error_message = "The project must allow the chart and its namespace, and no more."
  }

  assert {
    condition     = local.root_values.applications.monitoring.finalizers == ["resources-finalizer.argocd.argoproj.io"]
    error_message = "A teardown must take it along."
  }

  assert {
    condition     = [for operation in yamldecode(local.patches[2].patch) : operation.path] == [for name in ["serviceMonitor", "prometheusRule", "dashboard", "networkPolicy/from"] : "/spec/sources/0/helm/valuesObject/${name}"]
    error_message = "The ingestion service must bring what Prometheus and Grafana read, and let them in."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    argocd_chart_version     = "latest"
    apps_chart_version       = "~> 2.0"
    monitoring               = null
    monitoring_chart_version = "88"
    repository_url           = "git@example.com:me/fork.git"
    revision                 = "two words"
    image_repository         = "wal-cdc:1"
    image_tag                = "latest"
    workload_namespaces      = []
    chart_repositories       = ["http://example.com"]
  }

  expect_failures = [
    var.argocd_chart_version,
    var.apps_chart_version,
    var.monitoring,
    var.monitoring_chart_version,
    var.repository_url,
    var.revision,
    var.image_repository,
    var.image_tag,
    var.workload_namespaces,
    var.chart_repositories,
  ]
}

run "the_namespace_of_argo_cd_is_no_place_for_workloads" {
  command = plan

  variables {
    workload_namespaces = ["wal-cdc-argocd"]
  }

  expect_failures = [var.workload_namespaces]
}

run "a_wrong_namespace_is_refused" {
  command = plan

  variables {
    namespace = "Not A Name"
  }

  expect_failures = [var.namespace]
}
