listener "none" { # ERROR: needs address
}
listener "a" {
  address        = "127.0.0.1" # ERROR: is not an address
  protocols      = ["http/1.1", "h3", "http/2"] # ERROR: The protocol h3 is not available | not "http/2"
  proxy_protocol = true # ERROR: not available
  grpc_web       = true # ERROR: not available
  tls { # ERROR: not available
  }
}
listener "b" {
  address = ":8080"
  timeouts {
    header = "0s" # ERROR: can't be 0
    idel   = "1s" # ERROR: Did you mean "idle"?
  }
}
listener "c" {
  address = ":8080" # ERROR: have the same address
}
listener "d" {
  address   = "fd:http" # ERROR: not available
  protocols = []        # ERROR: at least one protocol
}
listener "e" {
  address = "unix:relative" # ERROR: is not a Unix socket
  tcp { # ERROR: not available
  }
}
