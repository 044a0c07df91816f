variable "name" {
  description = "Prefix of the names of the roles, usually the name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,48}[a-z0-9]$", var.name))
    error_message = "name must consist of 2 to 50 lower-case letters, digits and hyphens, and start with a letter."
  }
}
