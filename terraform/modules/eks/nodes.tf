locals {
  # Validated to be all of one kind. Graviton types have a g after the generation: t4g, m7g, c8gd.
  arm = can(regex("^[a-z]+[0-9]+g", var.instance_types[0]))

  # t3, t4g and the like. EC2 takes a kind of credits for these alone.
  burstable = alltrue([for type in var.instance_types : can(regex("^t[0-9]", type))])
}

resource "aws_launch_template" "node" {
  name = "${var.name}-node"

  # Pods cannot reach the credentials of the node: they are one hop further away.
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.node_disk_gib
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  # Rather slower than its share for a while than dearer than its price: "unlimited" is what T3 has otherwise.
  dynamic "credit_specification" {
    for_each = local.burstable ? ["standard"] : []

    content {
      cpu_credits = credit_specification.value
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = "${var.name}-node" })
    }
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name  = aws_eks_cluster.this.name
  node_role_arn = var.node_role_arn
  subnet_ids    = var.private_subnet_ids

  # No name of its own: other kinds of nodes are another group, which comes before this one goes.
  node_group_name_prefix = "nodes-"

  # Nodes stay at the version that they were made with unless told.
  version = aws_eks_cluster.this.version

  ami_type       = local.arm ? "AL2023_ARM_64_STANDARD" : "AL2023_x86_64_STANDARD"
  capacity_type  = var.spot ? "SPOT" : "ON_DEMAND"
  instance_types = var.instance_types

  launch_template {
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }

  # There is no autoscaler: node_count is the truth.
  scaling_config {
    min_size     = var.node_count
    desired_size = var.node_count
    max_size     = var.node_count
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    create_before_destroy = true
  }

  # Nodes are ready only with network and Pod Identity, and need both until the last pod is gone.
  depends_on = [aws_eks_addon.before_nodes]
}
