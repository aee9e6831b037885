variable "region" {
  type    = string
  default = "eu"
}
variable "token" {
  sensitive = true
  default   = "hush"
}
variable "ports" {
  type    = list(number)
  default = [8080, 8081]
}
locals {
  host  = "${var.region}.example.com"
  again = upper(local.host)
  teams = { a = "10.0.0.1:1", b = "10.0.0.2:2" }
  common = {
    x-one = "1"
    x-two = local.host
  }
}

gateway {
  trusted_proxies = ["10.0.0.0/8", "192.168.1.1"]
  request_id      = "X-Request-Id"
  body_memory     = "128MiB"
  admin {
    address = "127.0.0.1:0"
    token   = var.token
  }
  log {
    level = "debug"
  }
  access_log {
    format = "combined"
    path   = "access.log"
  }
  state {
    redis = ""
  }
  shutdown {
    delay = "1s"
    drain = "5s"
  }
  limits {
    max_header_bytes = "32KiB"
    max_body         = "10MiB"
    max_requests     = 100
  }
  debug {
    header = "X-Debug"
  }
}

listener "public" {
  address   = "127.0.0.1:0"
  protocols = ["http/1.1", "h2"]
  grpc_web  = true
  timeouts {
    header = "5s"
  }
}
listener "sock" {
  address   = "unix:/run/headgate.sock"
  protocols = ["http/1.1"]
}

upstream "orders" {
  endpoint "10.0.0.1:8080" {
    weight = 2
    labels = { zone = "a" }
  }
  dynamic "endpoint" {
    for_each = var.ports
    iterator = p
    labels   = ["10.0.0.2:${p.value}"]
    content {
      weight = 1
    }
  }
  protocol = "h2c"
  balance  = "maglev"
  hash_on  = request.cookie["user"]
  prefer   = { zone = "a" }
  timeout  = "2s"
  affinity {
    cookie = "__Host-at"
    ttl    = "1h"
  }
  health_check {
    path      = "/healthz?deep=1"
    host      = "orders.internal"
    headers   = { authorization = "Bearer a" }
    expect    = [200, 204]
    contains  = "ok"
    interval  = "500ms"
    timeout   = "100ms"
    healthy   = 1
    unhealthy = 2
    panic     = 0
  }
  outlier_detection {
    consecutive_errors  = 3
    success_rate        = 90
    latency_factor      = 2.5
    interval            = "1s"
    eject               = "5s"
    max_ejected_percent = 20
  }
  circuit_breaker {
    error_percent   = 40
    max_requests    = 100
    max_connections = 64
    max_pending     = 32
    adaptive        = true
  }
  retry {
    attempts = 2
    on       = ["connect", "timeout", "503"]
    methods  = ["GET", "POST"]
    per_try  = "500ms"
    hedge    = "0s"
  }
}
upstream "team" {
  for_each = local.teams
  endpoint "10.9.9.9:80" {}
  max_idle = each.key == "a" ? 1 : 2
}

policy "authz" {
  rego   = ["policies/"]
  decide = "data.authz.decision"
  allow  = ["http.send"]
  decision_log {}
}
plugin "geo" {
  source = "geo.module"
  limits {
    memory = "16MiB"
  }
  allow {
    fetch = []
    env   = ["REGION"]
    headers {
      read  = ["X-A"]
      write = []
    }
  }
}

chain "base" {
  filter "policy" {
    policy             = policy.authz
    context_extensions = { team = var.region }
    when               = request.method != "OPTIONS"
  }
}
chain "secured" {
  use = [chain.base]
  filter "geo" {
    country_header = "x-country"
    nested {
      a = 1
    }
    rule {
      n = 1
    }
    rule {
      n = 2
    }
    tier "gold" {
      limit = 5
    }
    dynamic "tier" {
      for_each = ["silver"]
      labels   = [tier.value]
      content {
        limit = 1
      }
    }
  }
}

route "orders" {
  listeners = [listener.public]
  hosts     = ["api.example.com", "*.${local.host}"]
  path      = "/orders/{id}/{rest...}"
  methods   = ["GET", "POST"]
  match {
    remote_ip = ["10.0.0.0/8"]
    header "X-Version" {
      equals = "2"
    }
    query "debug" {
      present = true
    }
    cookie "beta" {
      regex = "[01]"
    }
    json "user.tier" {
      equals = "gold"
    }
  }
  use = [chain.secured]
  filter "geo" {
    config   = "raw"
    when     = request.json["a.b"] == 1
    shadow   = true
    on_error = "allow"
  }
  timeout  = "1s"
  buffer   = "64KiB"
  max_body = "1MiB"
  upstream = upstream.orders
  rewrite {
    path  = "/v2/orders/${path.id}/${path.rest}"
    host  = "orders.internal"
    query = { a = request.header["x-a"], b = null }
  }
  request_headers {
    set    = { x-user = auth.subject, "x-region" = var.region, x-gone = null }
    add    = local.common
    remove = ["x-secret"]
  }
  response_headers {
    set = { x-status = "${response.status}", x-tier = request.json["tier"] }
  }
}
route "team" {
  for_each    = local.teams
  path_prefix = "/team/${each.key}"
  upstream    = upstream.team[each.key]
}
route "split" {
  path = "/split"
  split {
    to "v1" {
      upstream = upstream.orders
      weight   = 95
    }
    to "v2" {
      upstream = upstream.team["b"]
      weight   = 5
    }
  }
  mirror {
    upstream = upstream.team["a"]
    percent  = 0.5
  }
}
route "old" {
  path_regex = "/old/[0-9]+"
  redirect {
    url    = "https://${request.host}${request.path}"
    status = 301
  }
}
route "hello" {
  path = "/hello"
  respond {
    status  = 200
    body    = jsonencode({ ok = true })
    headers = { content-type = "application/json" }
  }
}
