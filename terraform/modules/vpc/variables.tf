variable "name" {
  description = "Prefix of the names of everything in the network, usually the name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,98}[a-z0-9]$", var.name))
    error_message = "name must consist of lower-case letters, digits and hyphens, and start with a letter."
  }
}

variable "cidr" {
  description = "Address range of the network. Each zone gets a public and a private subnet of a sixteenth of it."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "cidr must be an IPv4 range between /16 and /20, such as 10.42.0.0/16: smaller ones leave too few addresses for pods."
  }
}

variable "zone_count" {
  description = "Over how many availability zones the subnets are spread. EKS wants two at least."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count must be 2 or 3."
  }
}

variable "nat_gateway_count" {
  description = "How many NAT gateways the private subnets share: 1 is cheapest, one for each zone survives the loss of a zone."
  type        = number

  validation {
    condition     = contains([1, var.zone_count], var.nat_gateway_count)
    error_message = "nat_gateway_count must be 1, or zone_count for a gateway in each zone."
  }
}
