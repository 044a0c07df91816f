mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_eks_addon_version" {
    defaults = { version = "v1.2.3-eksbuild.4" }
  }
}

mock_provider "helm" {}

variables {
  name                 = "test"
  kubernetes_version   = "1.36"
  cluster_role_arn     = "arn:aws:iam::123456789012:role/cluster"
  node_role_arn        = "arn:aws:iam::123456789012:role/node"
  ebs_csi_role_arn     = "arn:aws:iam::123456789012:role/ebs-csi"
  secrets_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1"
  private_subnet_ids   = ["subnet-1", "subnet-2"]
  api_allowed_cidrs    = ["203.0.113.7/32"]
  admin_principal_arns = []
  instance_types       = ["t3.large"]
  spot                 = false
  node_count           = 3
  node_disk_gib        = 20
  tags                 = { wal-cdc-cluster = "test" }
}

run "the_cluster" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API"
    error_message = "Access must be by access entries, not by a ConfigMap in the cluster."
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "Who makes the cluster must get in: Terraform brings Argo CD."
  }

  assert {
    condition     = aws_eks_cluster.this.bootstrap_self_managed_addons == false
    error_message = "There must be no add-ons but those of addons.tf."
  }

  assert {
    condition     = aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "The cluster must never slide into extended support."
  }

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"]) && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.secrets_key_arn
    error_message = "Secrets must be encrypted with the given key."
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.7/32"])
    error_message = "The API server must be reachable from within and from the given ranges only."
  }

  assert {
    condition     = aws_cloudwatch_log_group.cluster.name == "/aws/eks/test/cluster" && aws_cloudwatch_log_group.cluster.retention_in_days == 7
    error_message = "The log group must be the one that EKS writes to, and forget."
  }
}

run "nodes_and_addons" {
  command = plan

  assert {
    condition     = toset(aws_eks_node_group.this.subnet_ids) == toset(var.private_subnet_ids)
    error_message = "Nodes must be in the private subnets."
  }

  assert {
    condition     = aws_eks_node_group.this.ami_type == "AL2023_x86_64_STANDARD" && aws_eks_node_group.this.capacity_type == "ON_DEMAND" && aws_eks_node_group.this.scaling_config[0].max_size == 3
    error_message = "There must be three x86 nodes on demand."
  }

  assert {
    condition     = aws_launch_template.node.metadata_options[0].http_tokens == "required" && aws_launch_template.node.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Pods must not reach the credentials of the node."
  }

  assert {
    condition     = aws_launch_template.node.vpc_security_group_ids == null && length(aws_launch_template.node.network_interfaces) == 0
    error_message = "Nodes must be in the security group of the cluster, or the API server does not reach what runs on them."
  }

  assert {
    condition     = aws_launch_template.node.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "Disks must be encrypted."
  }

  assert {
    condition     = one(aws_launch_template.node.credit_specification).cpu_credits == "standard"
    error_message = "Burstable nodes must not cost more than their price."
  }

  assert {
    condition     = toset([for spec in aws_launch_template.node.tag_specifications : spec.resource_type if spec.tags["wal-cdc-cluster"] == "test"]) == toset(["instance", "volume", "network-interface"])
    error_message = "What belongs to nodes must be found by its tag."
  }

  assert {
    condition     = aws_eks_addon.metrics_server.addon_name == "metrics-server"
    error_message = "There must be what kubectl top and scaling by CPU ask."
  }

  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values) == { enableNetworkPolicy = "true" }
    error_message = "Network policies must be enforced."
  }

  assert {
    condition     = jsondecode(aws_eks_addon.ebs_csi.configuration_values).controller.extraVolumeTags["wal-cdc-cluster"] == "test"
    error_message = "Volumes of claims must be found by their tag."
  }

  assert {
    condition     = one(aws_eks_addon.ebs_csi.pod_identity_association).service_account == "ebs-csi-controller-sa"
    error_message = "The volume driver must get its role through Pod Identity."
  }
}

run "another_version_of_kubernetes" {
  command = plan

  variables {
    kubernetes_version = "1.37"
  }

  assert {
    condition     = aws_eks_cluster.this.version == "1.37" && aws_eks_node_group.this.version == "1.37"
    error_message = "Nodes must follow the control plane."
  }

  assert {
    condition     = alltrue([for addon in data.aws_eks_addon_version.this : addon.kubernetes_version == "1.37" && addon.most_recent])
    error_message = "Versions of add-ons must be the newest for the version of Kubernetes."
  }

  assert {
    condition     = alltrue([for addon in concat(values(aws_eks_addon.before_nodes), [aws_eks_addon.coredns, aws_eks_addon.ebs_csi, aws_eks_addon.metrics_server]) : addon.addon_version == "v1.2.3-eksbuild.4"])
    error_message = "Every add-on must have the version that was found for it."
  }
}

run "nodes_that_earn_no_credits" {
  command = plan

  variables {
    instance_types = ["t3.large", "m7i.large"]
  }

  assert {
    condition     = length(aws_launch_template.node.credit_specification) == 0
    error_message = "EC2 takes a kind of credits for burstable types only."
  }
}

run "spot_on_arm" {
  command = plan

  variables {
    instance_types = ["t4g.large", "m7g.large"]
    spot           = true
  }

  assert {
    condition     = aws_eks_node_group.this.ami_type == "AL2023_ARM_64_STANDARD" && aws_eks_node_group.this.capacity_type == "SPOT"
    error_message = "There must be ARM spot nodes."
  }
}

run "administrators" {
  command = plan

  variables {
    admin_principal_arns = ["arn:aws:iam::123456789012:role/admin"]
  }

  assert {
    condition     = aws_eks_access_policy_association.admin["arn:aws:iam::123456789012:role/admin"].policy_arn == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    error_message = "They must be administrators of the cluster."
  }
}

run "no_access_from_outside" {
  command = plan

  variables {
    api_allowed_cidrs = []
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access == false
    error_message = "Without ranges there must be no public address."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name                 = "-"
    kubernetes_version   = "1.34"
    cluster_role_arn     = "cluster"
    node_role_arn        = "node"
    ebs_csi_role_arn     = "ebs-csi"
    secrets_key_arn      = "key"
    private_subnet_ids   = ["subnet-1"]
    api_allowed_cidrs    = ["everywhere"]
    admin_principal_arns = ["me"]
    instance_types       = ["t3.large", "t4g.large"]
    spot                 = null
    node_count           = 2.5
    node_disk_gib        = 8
    log_retention_days   = 8
    tags                 = {}
  }

  expect_failures = [
    var.name,
    var.kubernetes_version,
    var.cluster_role_arn,
    var.node_role_arn,
    var.ebs_csi_role_arn,
    var.secrets_key_arn,
    var.private_subnet_ids,
    var.api_allowed_cidrs,
    var.admin_principal_arns,
    var.instance_types,
    var.spot,
    var.node_count,
    var.node_disk_gib,
    var.log_retention_days,
    var.tags,
  ]
}
