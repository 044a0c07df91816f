output "vpc_id" {
  description = "Id of the network."
  value       = aws_vpc.this.id
}

# Nodes need the way out before they start, and until they are gone.
output "private_subnet_ids" {
  description = "Ids of the private subnets, one for each zone, with a way out through NAT."
  value       = aws_subnet.private[*].id
  depends_on  = [aws_route_table_association.private, aws_vpc_endpoint.s3]
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, one for each zone."
  value       = aws_subnet.public[*].id
}
