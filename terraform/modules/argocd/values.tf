locals {
  argocd_values = {
    # Definitions go with Argo CD: nothing is left in the cluster.
    crds = { keep = false }

    configs = {
      cm = { for name in fileset("${path.module}/health", "*.lua") :
        "resource.customizations.health.${trimsuffix(name, ".lua")}" => file("${path.module}/health/${name}")
      }
    }

    # Not used: one administrator, no notifications, Applications are files.
    dex            = { enabled = false }
    notifications  = { enabled = false }
    applicationSet = { replicas = 0 }

    controller = { resources = { requests = { cpu = "100m", memory = "512Mi" }, limits = { memory = "1Gi" } } }
    repoServer = { resources = { requests = { cpu = "50m", memory = "256Mi" }, limits = { memory = "1Gi" } } }
    server     = { resources = { requests = { cpu = "50m", memory = "128Mi" }, limits = { memory = "512Mi" } } }
    redis      = { resources = { requests = { cpu = "25m", memory = "64Mi" }, limits = { memory = "256Mi" } } }
  }
}
