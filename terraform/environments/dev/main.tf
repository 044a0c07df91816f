# One cluster with everything in it, for development and trials.

locals {
  # scripts/teardown finds what is left over by this tag.
  tags = { wal-cdc-cluster = var.name }
}

module "vpc" {
  source = "../../modules/vpc"

  name              = var.name
  nat_gateway_count = var.nat_gateway_count
}

module "iam" {
  source = "../../modules/iam"

  name = var.name
}

module "eks" {
  source = "../../modules/eks"

  name                 = var.name
  kubernetes_version   = var.kubernetes_version
  cluster_role_arn     = module.iam.cluster_role_arn
  node_role_arn        = module.iam.node_role_arn
  ebs_csi_role_arn     = module.iam.ebs_csi_role_arn
  secrets_key_arn      = module.iam.secrets_key_arn
  private_subnet_ids   = module.vpc.private_subnet_ids
  api_allowed_cidrs    = var.api_allowed_cidrs
  admin_principal_arns = var.admin_principal_arns
  instance_types       = var.instance_types
  spot                 = var.spot
  node_count           = var.node_count
  node_disk_gib        = var.node_disk_gib
  tags                 = local.tags
}

module "argocd" {
  source = "../../modules/argocd"

  repository_url   = var.repository_url
  revision         = var.revision
  image_repository = var.image_repository
  image_tag        = var.image_tag
  monitoring       = var.monitoring

  # Nodes, volumes and access must be there before Argo CD comes, and stay until it is gone.
  depends_on = [module.eks]
}
