# 1. Plain: what comes in goes to the users service.
route "users" {
  path_prefix = "/users"
  upstream    = upstream.users
}

# 2. With a policy: who may read orders and who may write them.
route "orders" {
  path_prefix = "/orders"
  filter "policy" {
    policy = policy.authz
  }
  upstream = upstream.orders
}

# 3. With a plugin: who names no tenant is refused by the plugin itself. The
# backend's /echo shows what arrived there.
route "tenant" {
  path = "/tenant"
  filter "tenant" {
    header  = "x-tenant"
    tenants = ["acme", "globex"]
  }
  rewrite {
    path = "/echo"
  }
  upstream = upstream.orders
}

# 4. With a chain: plugin, then policy, then the backend.
route "reports" {
  path_prefix = "/reports"
  use         = [chain.secured]
  rewrite {
    path = "/echo"
  }
  upstream = upstream.orders
}

# A stream of events, and a WebSocket. Both survive a reload.
route "events" {
  path     = "/events"
  upstream = upstream.orders
}

route "socket" {
  path     = "/ws"
  upstream = upstream.orders
}

# An old SOAP service, passed through as it is.
route "stock" {
  path     = "/StockService"
  upstream = upstream.stock
}
