output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "Address of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "Certificate of the authority that the API server's certificate is from, PEM."
  value       = base64decode(aws_eks_cluster.this.certificate_authority[0].data)
}
