# What it costs while it runs. List prices of us-east-1 in USD per hour; traffic is not in it.

locals {
  hours_per_month = 730

  prices = {
    control_plane = 0.10
    nat_gateway   = 0.045
    public_ipv4   = 0.005
    gp3_gib       = 0.08 / local.hours_per_month
    kms_key       = 1.00 / local.hours_per_month
    # 6 GB a month of the control plane's logs.
    logs = 6 * 0.50 / local.hours_per_month

    instances = {
      "t3.large"   = 0.0832
      "t3.xlarge"  = 0.1664
      "t3a.large"  = 0.0752
      "t3a.xlarge" = 0.1504
      "t4g.large"  = 0.0672
      "t4g.xlarge" = 0.1344
      "m6i.large"  = 0.096
      "m7g.large"  = 0.0816
      "m7i.large"  = 0.1008
    }

    # Of the price above. Spot prices move.
    spot_factor = 0.4
  }

  # What the claims of apps/ add up to.
  claimed_gib = 60

  costs = {
    control_plane = local.prices.control_plane
    nodes         = var.node_count * max([for type in var.instance_types : lookup(local.prices.instances, type, 0)]...) * (var.spot ? local.prices.spot_factor : 1)
    nat           = var.nat_gateway_count * (local.prices.nat_gateway + local.prices.public_ipv4)
    disks         = (var.node_count * var.node_disk_gib + local.claimed_gib) * local.prices.gp3_gib
    secrets_key   = local.prices.kms_key
    logs          = local.prices.logs
  }

  usd_per_hour = sum(values(local.costs))
}
