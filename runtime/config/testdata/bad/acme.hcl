certificate "good" {
  domains = ["a.example.com", "B.example.com"]
  acme {
    challenge = "http-01"
    email     = "admin@example.com"
  }
}
certificate "bare" { # ERROR: needs domains
  acme {}
}
certificate "empty" {
  domains = [] # ERROR: at least one name
  acme {}
}
certificate "names" {
  domains = [
    "*.example.com", # ERROR: takes the challenge dns-01
    "192.0.2.1",     # ERROR: it is an address
    "2001:db8::1",   # ERROR: it is an address
    "a..example",    # ERROR: between two dots
    "a_b.example",   # ERROR: letters, digits, dots and hyphens
    "-a.example",    # ERROR: a hyphen
    "",              # ERROR: 1 to 253 characters
    "c.example",
    "C.example", # ERROR: in the list already
  ]
  acme {}
}
certificate "both" {
  domains   = ["a.example.com"]
  cert_file = "../tls/api.crt" # ERROR: goes without an acme block
  key_file  = "../tls/api.key" # ERROR: goes without an acme block
  acme {}
}
certificate "server" {
  domains = ["a.example.com"]
  acme {
    directory = "http://acme.example.com/directory" # ERROR: is an https URL
    email     = "admin"                             # ERROR: is one address
    storage   = ""                                  # ERROR: the path of a directory
    ca_file   = "../tls/missing.crt"                # ERROR: no such file
    challenge = "http-1"                            # ERROR: Did you mean "http-01"?
  }
}
certificate "typed" {
  domains = "a.example.com" # ERROR: takes a list
  acme {
    directory = ["x"]      # ERROR: takes a string
    chalenge  = "http-01"  # ERROR: is not expected here
  }
  acme {} # ERROR: one acme block
}
certificate "nowhere" {
  domains = ["a.example.com"]
  acme {
    directory = "https:///directory"   # ERROR: is an https URL
    ca_file   = "../tls/api.key"       # ERROR: no certificate in it
  }
}
