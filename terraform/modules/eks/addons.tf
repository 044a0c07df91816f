locals {
  # With their settings. What nodes need to become ready, and what runs on them.
  addons_before_nodes = {
    vpc-cni                = jsonencode({ enableNetworkPolicy = "true" })
    kube-proxy             = null
    eks-pod-identity-agent = null
  }
  addons_on_nodes = ["coredns", "aws-ebs-csi-driver", "metrics-server"]
}

# EKS changes no add-on by itself, so that each must follow the version of Kubernetes. Asked by the variable rather than
# of the cluster, so that a plan tells the versions: what a resource with changes says is read at apply only.
data "aws_eks_addon_version" "this" {
  for_each = toset(concat(keys(local.addons_before_nodes), local.addons_on_nodes))

  addon_name         = each.key
  kubernetes_version = var.kubernetes_version
  most_recent        = true
}

resource "aws_eks_addon" "before_nodes" {
  for_each = local.addons_before_nodes

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = data.aws_eks_addon_version.this[each.key].version
  configuration_values        = each.value
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}

resource "aws_eks_addon" "coredns" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "coredns"
  addon_version               = data.aws_eks_addon_version.this["coredns"].version
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_eks_node_group.this]
}

resource "aws_eks_addon" "ebs_csi" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "aws-ebs-csi-driver"
  addon_version               = data.aws_eks_addon_version.this["aws-ebs-csi-driver"].version
  configuration_values        = jsonencode({ controller = { extraVolumeTags = var.tags } })
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  pod_identity_association {
    role_arn        = var.ebs_csi_role_arn
    service_account = "ebs-csi-controller-sa"
  }

  depends_on = [aws_eks_node_group.this]
}

# For kubectl top and for scaling by CPU. It needs no role. The API server reaches it on port 10251: control plane and
# nodes share the security group that EKS makes, whose members reach each other on every port.
resource "aws_eks_addon" "metrics_server" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "metrics-server"
  addon_version               = data.aws_eks_addon_version.this["metrics-server"].version
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_eks_node_group.this]
}

# EKS brings no default storage class.
resource "helm_release" "storage_class" {
  name      = "storage-class"
  namespace = "kube-system"
  chart     = "${path.module}/storage-class"

  depends_on = [aws_eks_addon.ebs_csi, aws_eks_access_policy_association.admin]
}
