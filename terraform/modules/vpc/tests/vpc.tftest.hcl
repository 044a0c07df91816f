mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }

  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }
}

variables {
  name              = "test"
  nat_gateway_count = 1
}

run "one_nat_gateway_for_all_zones" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route_table.private) == 1 && length(aws_route_table_association.private) == 2
    error_message = "Both private subnets must share one route table and one NAT gateway."
  }

  assert {
    condition     = aws_route.nat[0].destination_cidr_block == "0.0.0.0/0" && aws_route.internet.destination_cidr_block == "0.0.0.0/0"
    error_message = "Everything outside of the network must be reached through the gateways."
  }

  assert {
    condition     = join(" ", concat(aws_subnet.public[*].cidr_block, aws_subnet.private[*].cidr_block)) == "10.42.0.0/20 10.42.16.0/20 10.42.128.0/20 10.42.144.0/20"
    error_message = "Subnets must not move: that would replace them."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.tags["kubernetes.io/role/internal-elb"] == "1" && subnet.map_public_ip_on_launch != true])
    error_message = "Private subnets must be tagged for internal load balancers, and give no public addresses."
  }
}

run "only_zones_that_eks_takes" {
  command = plan

  assert {
    condition     = data.aws_availability_zones.available.exclude_zone_ids == toset(["use1-az3", "usw1-az2", "cac1-az3"])
    error_message = "Zones in which EKS has no control planes must be left out."
  }

  assert {
    condition     = one(data.aws_availability_zones.available.filter) == { name = "opt-in-status", values = toset(["opt-in-not-required"]) }
    error_message = "Local zones must be left out."
  }
}

run "a_nat_gateway_in_each_zone" {
  command = plan

  variables {
    zone_count        = 3
    nat_gateway_count = 3
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route_table.private) == 3 && aws_subnet.private[2].availability_zone == "us-east-1c"
    error_message = "Each zone must have its own way out."
  }
}

run "two_nat_gateways_for_three_zones_are_refused" {
  command = plan

  variables {
    zone_count        = 3
    nat_gateway_count = 2
  }

  expect_failures = [var.nat_gateway_count]
}

run "one_zone_is_refused" {
  command = plan

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}

run "a_range_that_is_too_small_is_refused" {
  command = plan

  variables {
    cidr = "10.42.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "a_wrong_name_is_refused" {
  command = plan

  variables {
    name = "Not A Name"
  }

  expect_failures = [var.name]
}
