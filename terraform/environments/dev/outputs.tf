output "name" {
  description = "Name of the cluster."
  value       = module.eks.name
}

output "region" {
  description = "Region of AWS."
  value       = var.region
}

output "costs" {
  description = "Estimated costs in USD, by part per hour and in total."
  value = {
    per_hour  = { for part, usd in local.costs : part => format("%.4f", usd) }
    hour      = format("%.3f", local.usd_per_hour)
    month     = format("%.0f", local.usd_per_hour * local.hours_per_month)
    available = format("%.3f", var.budget_usd_per_hour)
  }

  precondition {
    condition     = local.usd_per_hour <= var.budget_usd_per_hour
    error_message = "This would cost about ${format("%.3f", local.usd_per_hour)} USD per hour, more than budget_usd_per_hour = ${var.budget_usd_per_hour}: take fewer or smaller nodes, spot = true, one NAT gateway, or raise the budget."
  }
}

output "kubeconfig" {
  description = "Makes kubectl talk to the cluster."
  value       = "aws eks update-kubeconfig --name ${module.eks.name} --region ${var.region}"
}

output "argocd_password" {
  description = "Prints the password of Argo CD's user admin."
  value       = "kubectl -n ${module.argocd.namespace} get secret argocd-initial-admin-secret -o jsonpath='{.data.password}' | base64 -d; echo"
}

output "argocd_port_forward" {
  description = "Makes Argo CD reachable as https://localhost:8443."
  value       = "kubectl -n ${module.argocd.namespace} port-forward svc/argocd-server 8443:443"
}

output "applications" {
  description = "Shows how far Argo CD is."
  value       = "kubectl -n ${module.argocd.namespace} get applications --watch"
}
