# What stands between the door and the backends: a plugin and a policy.

# A WebAssembly module, built by make from sdk/go/examples/tenant. It may read
# and change headers and nothing else, for at most 20ms in each call.
plugin "tenant" {
  source = "tenant.wasm"
  limits {
    cpu    = "20ms"
    memory = "32MiB"
  }
}

# Rego, in the form of OPA's Envoy plugin.
policy "authz" {
  rego   = ["policies/"]
  decide = "data.quickstart.authz.decision"
}

# Filters that routes share, in the order in which they run.
chain "secured" {
  filter "tenant" {
    header  = "x-tenant"
    tenants = ["acme", "globex"]
  }
  filter "policy" {
    policy = policy.authz
  }
}
