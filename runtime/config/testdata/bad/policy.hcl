policy "a" { # ERROR: needs rego | needs decide
}
policy "b" {
  rego     = ["missing.rego", "../good/policies"] # ERROR: can't be read
  data     = "x.json"                             # ERROR: takes a list of strings
  decide   = "allow"                              # ERROR: names a rule
  on_error = "skip"                               # ERROR: is one of "deny", "allow"
  deadline = "0s"                                 # ERROR: can't be 0
  allow    = ["http.sent"]                        # ERROR: Did you mean "http.send"?
  bundle { # ERROR: not available
    url = "https://example.com"
  }
  decision_log {
    rate = 0          # ERROR: whole number from 1
    service {         # ERROR: needs url
      token = [1]     # ERROR: takes a string
    }
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
