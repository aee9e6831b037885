policy "authz" {
  rego   = ["../good/policies"]
  decide = "data.authz.decision"
}
plugin "geo" {
  source = "../good/geo.module"
}
chain "a" {
  use = [chain.b]
}
chain "b" {
  use = [chain.a] # ERROR: uses itself: a -> b -> a
}
chain "c" {
  filter "geoo" { # ERROR: Did you mean "geo"?
  }
  filter "policy" { # ERROR: needs policy
  }
  filter "policy" {
    policy = policy.auth # ERROR: Did you mean "authz"?
    polcy  = 1           # ERROR: Did you mean "policy"?
    when   = path.id     # ERROR: used by many routes
  }
  filter "policy" {
    policy = "authz" # ERROR: Write it without quotes: policy.authz
    rules { # ERROR: not expected here
    }
  }
  filter "geo" {
    shadow   = "maybe"        # ERROR: takes true or false
    on_error = "ignore"       # ERROR: is one of
    a        = response.status # ERROR: before there is a response
    b        = 1
    b "x" { # ERROR: is an argument already
    }
    c "x" {}
    c "x" {} # ERROR: block "x" already
    when = request.method # ERROR: takes a condition
  }
}
