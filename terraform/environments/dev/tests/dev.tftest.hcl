mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { region = "us-east-1" }
  }

  override_resource {
    target          = module.iam.aws_iam_role.this
    override_during = plan
    values          = { arn = "arn:aws:iam::123456789012:role/test" }
  }

  override_resource {
    target          = module.iam.aws_kms_key.secrets
    override_during = plan
    values          = { arn = "arn:aws:kms:us-east-1:123456789012:key/1" }
  }
}

mock_provider "helm" {}

variables {
  repository_url    = "https://example.com/me/fork.git"
  image_repository  = "registry.example.com/me/wal-cdc"
  image_tag         = "1.2.3"
  api_allowed_cidrs = ["203.0.113.7/32"]
}

run "as_it_comes" {
  command = plan

  assert {
    condition     = output.costs.hour == "0.418"
    error_message = "It must cost what docs/deploy.md says."
  }

  assert {
    condition     = output.name == "postgres-wal-cdc-cluster"
    error_message = "The name of the cluster must be the one that docs/deploy.md and scripts/teardown use."
  }
}

run "spot_is_cheaper" {
  command = plan

  variables {
    spot = true
  }

  assert {
    condition     = tonumber(output.costs.hour) < 0.28
    error_message = "Spot nodes must be counted as such."
  }
}

run "more_than_the_budget_is_refused" {
  command = plan

  variables {
    node_count = 4
  }

  expect_failures = [output.costs]
}

run "a_larger_budget_allows_more" {
  command = plan

  variables {
    node_count          = 4
    budget_usd_per_hour = 0.6
  }
}

run "an_instance_type_without_a_price_is_refused" {
  command = plan

  variables {
    instance_types = ["t3.nano"]
  }

  expect_failures = [var.instance_types]
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    region              = "mars"
    api_allowed_cidrs   = []
    budget_usd_per_hour = -1
  }

  expect_failures = [var.region, var.api_allowed_cidrs, var.budget_usd_per_hour]
}
