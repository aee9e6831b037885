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
}
