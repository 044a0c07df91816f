mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  name = "test"
}

run "roles_have_what_they_need_and_no_more" {
  command = plan

  assert {
    condition     = toset(keys(aws_iam_role.this)) == toset(["cluster", "node", "ebs-csi"])
    error_message = "There must be a role each for the control plane, the nodes and the volume driver."
  }

  assert {
    condition = toset([for attachment in aws_iam_role_policy_attachment.this : attachment.policy_arn]) == toset([
      "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy",
      "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
      "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",
      "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
      "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
    ])
    error_message = "The policies must be these."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["ebs-csi"].assume_role_policy).Statement[0] == { Effect = "Allow", Principal = { Service = "pods.eks.amazonaws.com" }, Action = ["sts:AssumeRole", "sts:TagSession"] }
    error_message = "The volume driver's role must be for Pod Identity."
  }

  assert {
    condition     = aws_kms_key.secrets.enable_key_rotation && aws_kms_key.secrets.deletion_window_in_days == 7
    error_message = "The key must be rotated, and go soon after a teardown."
  }
}

run "a_name_that_is_too_long_for_roles_is_refused" {
  command = plan

  variables {
    name = "a-name-that-goes-on-and-on-until-no-role-can-be-called-so"
  }

  expect_failures = [var.name]
}
