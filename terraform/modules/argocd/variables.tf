variable "namespace" {
  description = "Namespace of Argo CD and of the Applications."
  type        = string
  default     = "wal-cdc-argocd"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be a name of Kubernetes: lower-case letters, digits and hyphens, at most 63."
  }
}

variable "argocd_chart_version" {
  description = "Version of the chart argo-cd of https://argoproj.github.io/argo-helm."
  type        = string
  default     = "10.1.1"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.argocd_chart_version))
    error_message = "argocd_chart_version must be one exact version such as 10.1.1."
  }
}

variable "apps_chart_version" {
  description = "Version of the chart argocd-apps of https://argoproj.github.io/argo-helm, which carries the root Application."
  type        = string
  default     = "2.0.5"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.apps_chart_version))
    error_message = "apps_chart_version must be one exact version such as 2.0.5."
  }
}

variable "repository_url" {
  description = "Git repository that Argo CD reads: this one, or your fork of it. Must be readable without credentials."
  type        = string

  validation {
    condition     = can(regex("^https://[^@\\s]+$", var.repository_url))
    error_message = "repository_url must be an https:// address without user and password, such as https://github.com/you/wal-cdc.git."
  }
}

variable "revision" {
  description = "Branch, tag or commit that Argo CD follows."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.revision))
    error_message = "revision must be a branch, a tag or a commit."
  }
}

variable "image_repository" {
  description = "Image of the ingestion service without tag, such as ghcr.io/you/wal-cdc."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$", var.image_repository))
    error_message = "image_repository must be an image with its registry and without tag, such as ghcr.io/you/wal-cdc."
  }
}

variable "image_tag" {
  description = "Tag of the image of the ingestion service."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a tag that stays what it is, such as 0.1.0: with \"latest\" a restart may change the version."
  }
}

variable "workload_namespaces" {
  description = "Namespaces that the Applications of apps/ may deploy to."
  type        = set(string)
  default     = ["wal-cdc", "wal-cdc-clickhouse", "wal-cdc-debezium", "wal-cdc-postgres", "wal-cdc-redpanda"]

  validation {
    condition     = length(var.workload_namespaces) > 0 && alltrue([for name in var.workload_namespaces : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "workload_namespaces must be names of Kubernetes: lower-case letters, digits and hyphens, at most 63."
  }

  validation {
    condition     = !contains(var.workload_namespaces, var.namespace)
    error_message = "workload_namespaces must not contain the namespace of Argo CD: an Application that writes there could grant itself anything."
  }
}

variable "chart_repositories" {
  description = "Helm repositories that the Applications of apps/ may use, beside repository_url."
  type        = set(string)
  default = [
    "https://charts.redpanda.com",
    "https://cloudnative-pg.github.io/charts",
    "https://helm.altinity.com",
  ]

  validation {
    condition     = alltrue([for url in var.chart_repositories : can(regex("^https://[^@\\s]+$", url))])
    error_message = "chart_repositories must be https:// addresses."
  }
}

variable "monitoring" {
  description = "Whether Prometheus and Grafana come along, and read the metrics of the ingestion service: about 1 GiB of memory."
  type        = bool
  default     = false

  validation {
    condition     = var.monitoring != null
    error_message = "monitoring must be true or false."
  }
}

variable "monitoring_chart_version" {
  description = "Version of the chart kube-prometheus-stack of https://prometheus-community.github.io/helm-charts."
  type        = string
  default     = "88.5.3"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.monitoring_chart_version))
    error_message = "monitoring_chart_version must be one exact version such as 88.5.3."
  }
}
