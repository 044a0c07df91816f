# Who the control plane, the nodes and the volume driver are in AWS, and the key for the secrets of the cluster.

data "aws_partition" "current" {}

locals {
  roles = {
    cluster = {
      service  = "eks.amazonaws.com"
      actions  = ["sts:AssumeRole"]
      policies = ["AmazonEKSClusterPolicy"]
    }
    node = {
      service  = "ec2.amazonaws.com"
      actions  = ["sts:AssumeRole"]
      policies = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"]
    }
    # Through Pod Identity, which wants to tag its sessions.
    ebs-csi = {
      service  = "pods.eks.amazonaws.com"
      actions  = ["sts:AssumeRole", "sts:TagSession"]
      policies = ["service-role/AmazonEBSCSIDriverPolicy"]
    }
  }

  attachments = merge([
    for name, role in local.roles : { for policy in role.policies : "${name}/${basename(policy)}" => { role = name, policy = policy } }
  ]...)
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name = "${var.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = each.value.service }
      Action    = each.value.actions
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.attachments

  role       = aws_iam_role.this[each.value.role].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value.policy}"
}

resource "aws_kms_key" "secrets" {
  description             = "Secrets of the cluster ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.this["cluster"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["kms:DescribeKey", "kms:Encrypt", "kms:Decrypt", "kms:ListGrants"]
      Resource = aws_kms_key.secrets.arn
    }]
  })
}
