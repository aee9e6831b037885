listener "none" { # ERROR: needs address
}
listener "a" {
  address        = "127.0.0.1" # ERROR: is not an address
  protocols      = ["http/1.1", "h3", "http/2"] # ERROR: not "http/2" | no meaning for HTTP/3
  proxy_protocol = true # ERROR: there are none
  grpc_web       = "on" # ERROR: true or false
  tls { # ERROR: needs certificates
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
  address   = "fd:" # ERROR: not the name of a socket
  protocols = []        # ERROR: at least one protocol
}
listener "e" {
  address = "unix:relative" # ERROR: is not a Unix socket
  tcp { # ERROR: upstream, sni blocks, or both
  }
}
listener "f" {
  address   = "fd:f"
  protocols = ["h2"] # ERROR: protocols means nothing
  tcp {
    upstream = upstream.dbb # ERROR: Did you mean "db"?
    sni "a.example" {
      upstream = upstream.db
    }
    sni "A.example" { # ERROR: already
      upstream = upstream.db
    }
    sni "*.b c" { # ERROR: not a server name
      upstream = upstream.db
    }
    sni "10.0.0.1" { # ERROR: not a server name
      upstream = upstream.db
    }
    sni "c.example" { # ERROR: needs upstream
    }
  }
}
listener "g" {
  address = ":5432"
  tcp {
    upstream = upstream.db
  }
  tls { # ERROR: needs certificates | tls block or a tcp block
  }
}
listener "h" {
  address   = ":9443"
  protocols = ["http/1.1", "h3"] # ERROR: always encrypted
}
listener "i" {
  address   = "unix:/run/i.sock"
  protocols = ["h3"] # ERROR: needs TLS 1.3 | learn of HTTP/3 | needs a port
  tls {              # ERROR: needs certificates
    max_version = "1.2"
  }
}
upstream "db" {
  endpoint "10.0.0.1:5432" {}
}
route "r" {
  listeners = [listener.g] # ERROR: no route sees them
  upstream  = upstream.db
}
