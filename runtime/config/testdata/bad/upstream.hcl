upstream "none" { # ERROR: at least one endpoint
}
upstream "a" {
  endpoint "http://h:1" { # ERROR: It takes no scheme
  }
  endpoint "h" { # ERROR: is not an address
  }
  endpoint "h:1" {
    weight = 0 # ERROR: from 1 to
  }
  endpoint "h:1" { # ERROR: endpoint block "h:1" already
  }
  protocol        = "h2c"                  # ERROR: which tls rules out
  balance         = "maglev"               # ERROR: chooses by upstream.hash_on
  prefer          = ["a"]                  # ERROR: takes
  slow_start      = "10s"                  # ERROR: a hash knows no pause
  proxy_protocol  = "v2"                   # ERROR: names one
  connect_timeout = "0s"                   # ERROR: can't be 0
  timeout         = "5 parsecs"            # ERROR: can't be "5 parsecs"
  max_idle        = "x"                    # ERROR: takes a number
  tls { # ERROR: go together
    cert_file = "a.pem"
  }
  affinity {
    cookie = "a b"   # ERROR: can't be the name of a cookie
    ttl    = "1.5s"  # ERROR: in whole seconds
  }
  circuit_breaker {
    error_percent   = 101   # ERROR: from 1 to 100
    window          = "1ms" # ERROR: at least
    max_connections = -1    # ERROR: from 0 to
    max_pending     = "all" # ERROR: takes a number
  }
  retry {
    attempts = 11                  # ERROR: from 0 to 10
    on       = ["connect", "conn"] # ERROR: is none of
    methods  = ["GE T"]            # ERROR: can't be a method
    per_try  = "1m"                # ERROR: longer than
  }
}
upstream "path" {
  endpoint "h:1" {}
  balance = "ring_hash"
  hash_on = path.id # ERROR: path variables belong to one
}
upstream "body" {
  endpoint "h:1" {}
  balance = "ring_hash"
  hash_on = request.json["id"] # ERROR: the body
}
upstream "plain" {
  endpoint "h:1" {}
  hash_on = request.host # ERROR: is for balance
}
upstream "hedged" {
  endpoint "h:1" {}
  retry {
    attempts = 0
    hedge    = "10ms" # ERROR: which allows none
  }
}
upstream "b" {
  endpoint "h:1" {}
  balance = "round_robbin" # ERROR: Did you mean "round_robin"?
}
upstream "c" {
  for_each = ["a"] # ERROR: toset
  endpoint "h:1" {}
}
upstream "d" {
  dynamic "endpont" { # ERROR: Did you mean "endpoint"?
    for_each = []
    content {}
  }
  dynamic "endpoint" { # ERROR: needs a content {} block
    for_each = []
  }
  dynamic "endpoint" { # ERROR: have a label
    for_each = ["a"]
    content {}
  }
}
upstream "e" {
  endpoint "h:1" {}
  protocol = "h2" # ERROR: needs a tls block
}
upstream "f" {
  endpoint "h:1" {}
  protocol = "auto" # ERROR: needs a tls block
  proxy_protocol = "v3" # ERROR: Did you mean "v1"
}
upstream "looked_up" {
  endpoint "h:1" {} # ERROR: only one of these
  dns {
    name = "10.0.0.1" # ERROR: is an address
    port = 0          # ERROR: from 1 to 65535
    type = "aaaa"     # ERROR: is one of
  }
}
upstream "twice" {
  dns { # ERROR: needs port
    name = "orders..internal" # ERROR: is not a DNS name
  }
  file { # ERROR: Remove file or dns
    path = "" # ERROR: can't be empty
  }
}
