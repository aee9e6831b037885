upstream "a" {
  endpoint "unix:/run/a.sock" {} # ERROR: no host name
  tls {}
}
upstream "b" {
  endpoint "h:1" {}
  tls { # ERROR: can't be used
    ca_file = "../tls/empty.pem"
  }
}
upstream "c" {
  endpoint "h:1" {}
  tls { # ERROR: can't be used
    ca_file = "../tls/none.pem"
  }
}
upstream "d" {
  endpoint "h:1" {}
  tls { # ERROR: can't be used
    cert_file = "../tls/api.crt"
    key_file  = "../tls/rsa.key"
  }
}
upstream "e" {
  endpoint "h:1" {}
  tls { # ERROR: go together
    key_file = "../tls/rsa.key"
  }
}
upstream "f" {
  endpoint "h:1" {}
  protocol       = "h2"
  proxy_protocol = "v2" # ERROR: names one
  tls {
    insecure_skip_verify = "maybe" # ERROR: true or false
    server_nam           = "x"     # ERROR: Did you mean "server_name"?
  }
}
