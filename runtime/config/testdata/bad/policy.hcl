policy "a" { # ERROR: needs rego | needs decide
}
policy "b" {
  rego     = ["missing.rego", "../good/policies"] # ERROR: can't be read
  data     = "x.json"                             # ERROR: takes a list of strings
  decide   = "allow"                              # ERROR: names a rule
  on_error = "skip"                               # ERROR: is one of "deny", "allow"
  deadline = "0s"                                 # ERROR: can't be 0
  allow    = ["http.sent"]                        # ERROR: Did you mean "http.send"?
  bundle { # ERROR: needs url
    poll            = "1ms"      # ERROR: at least 1s
    long_poll       = "1h"       # ERROR: from 1s to 10m
    public_key_file = "none.pem" # ERROR: can't be read
    algorithm       = "HS256"    # ERROR: is one of
  }
  decision_log {
    rate = 0          # ERROR: whole number from 1
    service {         # ERROR: needs url
      token = [1]     # ERROR: takes a string
    }
  }
}
policy "d" {
  decide   = "data.a"
  response = "answer" # ERROR: names a rule

  capabilities = "none.json" # ERROR: can't be read
  bundle {
    url             = "oci://example.com/x" # ERROR: is no URL
    public_key_file = "policy.hcl"          # ERROR: can't be used
  }
}
policy "e" {
  decide = "data.a"
  bundle {
    url   = "https://example.com/x"
    scope = "read" # ERROR: Nothing to verify
  }
}
policy "c" {
  rego   = ["../good/policies"]
  decide = "data.a"
  decision_log {
    service {
      url = "logs.example.com" # ERROR: is no URL
    }
  }
}
