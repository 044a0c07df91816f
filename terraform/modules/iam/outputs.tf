# Each waits for the policies too: who uses a role can do its work from the start, and clean up to the end.

output "cluster_role_arn" {
  description = "ARN of the role of the control plane."
  value       = aws_iam_role.this["cluster"].arn
  depends_on  = [aws_iam_role_policy_attachment.this, aws_iam_role_policy.secrets]
}

output "node_role_arn" {
  description = "ARN of the role of the nodes."
  value       = aws_iam_role.this["node"].arn
  depends_on  = [aws_iam_role_policy_attachment.this]
}

output "ebs_csi_role_arn" {
  description = "ARN of the role of the volume driver, for Pod Identity."
  value       = aws_iam_role.this["ebs-csi"].arn
  depends_on  = [aws_iam_role_policy_attachment.this]
}

output "secrets_key_arn" {
  description = "ARN of the key that encrypts the secrets of the cluster."
  value       = aws_kms_key.secrets.arn
}
