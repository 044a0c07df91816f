variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,48}[a-z0-9]$", var.name))
    error_message = "name must consist of 2 to 50 lower-case letters, digits and hyphens, and start with a letter."
  }
}

variable "kubernetes_version" {
  description = "Version of Kubernetes as EKS names it. The oldest one allowed is the oldest that EKS supports without a surcharge."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[5-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be \"1.35\" or newer: AWS charges older ones six times as much."
  }
}

variable "cluster_role_arn" {
  description = "ARN of the role of the control plane."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", var.cluster_role_arn))
    error_message = "cluster_role_arn must be the ARN of an IAM role."
  }
}

variable "node_role_arn" {
  description = "ARN of the role of the nodes."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", var.node_role_arn))
    error_message = "node_role_arn must be the ARN of an IAM role."
  }
}

variable "ebs_csi_role_arn" {
  description = "ARN of the role that the volume driver gets through Pod Identity."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:iam::[0-9]{12}:role/.+$", var.ebs_csi_role_arn))
    error_message = "ebs_csi_role_arn must be the ARN of an IAM role."
  }
}

variable "secrets_key_arn" {
  description = "ARN of the KMS key that encrypts the secrets of the cluster."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.secrets_key_arn))
    error_message = "secrets_key_arn must be the ARN of a KMS key."
  }
}

variable "private_subnet_ids" {
  description = "Ids of the private subnets, in two zones or more, for nodes and the addresses of the control plane."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids must name subnets in at least two zones."
  }
}

variable "api_allowed_cidrs" {
  description = "Address ranges from which the API server can be reached from outside. Empty: only from within the network."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.api_allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "api_allowed_cidrs must be a list of IPv4 ranges such as 203.0.113.7/32."
  }
}

variable "admin_principal_arns" {
  description = "ARNs of IAM roles and users that administer the cluster, beside the one that creates it."
  type        = set(string)

  validation {
    condition     = alltrue([for arn in var.admin_principal_arns : can(regex("^arn:[^:]+:iam::[0-9]{12}:(role|user)/.+$", arn))])
    error_message = "admin_principal_arns must be ARNs of IAM roles or users. The ARN of a session (sts, assumed-role) is not one: name its role."
  }
}

variable "instance_types" {
  description = "Instance types of the nodes, all of one processor architecture. Several give spot capacity more to choose from."
  type        = list(string)

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for type in var.instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9]+$", type))])
    error_message = "instance_types must name at least one instance type, such as t3.large."
  }

  validation {
    condition     = length(distinct([for type in var.instance_types : can(regex("^[a-z]+[0-9]+g", type))])) <= 1
    error_message = "instance_types must not mix ARM types (such as t4g.large) and x86 types (such as t3.large): a node group has one image."
  }
}

variable "spot" {
  description = "Whether the nodes are spot instances: about 60 % cheaper, and taken away with two minutes' notice."
  type        = bool

  validation {
    condition     = var.spot != null
    error_message = "spot must be true or false."
  }
}

variable "node_count" {
  description = "How many nodes there are. Volumes are bound to a zone: with fewer nodes than zones a pod may find none beside its volume."
  type        = number

  validation {
    condition     = var.node_count >= 2 && var.node_count <= 20 && floor(var.node_count) == var.node_count
    error_message = "node_count must be a whole number from 2 to 20."
  }
}

variable "node_disk_gib" {
  description = "Size of the disk of each node, in GiB."
  type        = number

  validation {
    condition     = var.node_disk_gib >= 20 && var.node_disk_gib <= 500
    error_message = "node_disk_gib must be from 20 to 500: images and logs need 20."
  }
}

variable "log_retention_days" {
  description = "For how long the logs of the control plane are kept, in days."
  type        = number
  default     = 7

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 180 and 365, which CloudWatch takes."
  }
}

variable "tags" {
  description = "Tags of what AWS and the volume driver make on behalf of the cluster: instances, disks, network interfaces, volumes. scripts/teardown finds leftovers by them."
  type        = map(string)

  validation {
    condition     = contains(keys(var.tags), "wal-cdc-cluster")
    error_message = "tags must contain wal-cdc-cluster: without it scripts/teardown cannot find what is left over."
  }
}
