# What is handed on to a module as it is, is validated there.

variable "name" {
  description = "Name of the cluster, and prefix of what belongs to it."
  type        = string
  default     = "postgres-wal-cdc-cluster"
}

variable "region" {
  description = "Region of AWS. Costs are estimated with the prices of us-east-1."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region of AWS such as us-east-1."
  }
}

variable "repository_url" {
  description = "Git repository that Argo CD reads: this one, or your fork of it. Must be readable without credentials."
  type        = string
}

variable "revision" {
  description = "Branch, tag or commit that Argo CD follows."
  type        = string
  default     = "main"
}

variable "image_repository" {
  description = "Image of the ingestion service without tag, such as ghcr.io/you/wal-cdc."
  type        = string
}

variable "image_tag" {
  description = "Tag of the image of the ingestion service."
  type        = string
}

variable "api_allowed_cidrs" {
  description = "Address ranges from which the API server can be reached. The machine that runs terraform must be in one of them."
  type        = list(string)

  validation {
    condition     = length(var.api_allowed_cidrs) > 0
    error_message = "api_allowed_cidrs must name the range that you come from, such as 203.0.113.7/32: terraform itself talks to the API server."
  }
}

variable "admin_principal_arns" {
  description = "ARNs of IAM roles and users that administer the cluster, beside the one that creates it."
  type        = set(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Version of Kubernetes, 1.35 or newer."
  type        = string
  default     = "1.36"
}

variable "instance_types" {
  description = "Instance types of the nodes, all of one processor architecture, each with a price in costs.tf."
  type        = list(string)
  default     = ["t3.large"]

  validation {
    condition     = alltrue([for type in var.instance_types : contains(keys(local.prices.instances), type)])
    error_message = "instance_types must have a price in costs.tf, otherwise the budget cannot be checked. Known: ${join(", ", keys(local.prices.instances))}."
  }
}

variable "spot" {
  description = "Whether the nodes are spot instances: about 60 % cheaper, and taken away with two minutes' notice."
  type        = bool
  default     = false
}

variable "node_count" {
  description = "How many nodes there are."
  type        = number
  default     = 3
}

variable "node_disk_gib" {
  description = "Size of the disk of each node, in GiB."
  type        = number
  default     = 20
}

variable "nat_gateway_count" {
  description = "How many NAT gateways there are: 1, or one for each of the two zones."
  type        = number
  default     = 1
}

variable "monitoring" {
  description = "Whether Prometheus and Grafana come along, and read the metrics of the ingestion service."
  type        = bool
  default     = false
}

variable "budget_usd_per_hour" {
  description = "A plan that is estimated to cost more is refused."
  type        = number
  default     = 0.42

  validation {
    condition     = var.budget_usd_per_hour > 0
    error_message = "budget_usd_per_hour must be more than 0."
  }
}
