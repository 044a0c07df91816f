# Argo CD, and the root Application that brings everything else. Without the root Application Argo CD does nothing; it
# goes first at a teardown, and takes all other Applications and their volumes along while Argo CD is there to do it.

resource "helm_release" "argocd" {
  name             = "argocd"
  namespace        = var.namespace
  create_namespace = true
  repository       = "https://argoproj.github.io/argo-helm"
  chart            = "argo-cd"
  version          = var.argocd_chart_version
  wait             = true
  timeout          = 900

  values = [yamlencode(local.argocd_values)]
}

resource "helm_release" "root" {
  name       = "root"
  namespace  = var.namespace
  repository = "https://argoproj.github.io/argo-helm"
  chart      = "argocd-apps"
  version    = var.apps_chart_version

  # At a teardown the deletion is waited for: by then every Application is gone.
  wait    = true
  timeout = 1800

  values = [yamlencode(local.root_values)]

  depends_on = [helm_release.argocd]
}
