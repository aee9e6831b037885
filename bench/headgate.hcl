# As a reverse proxy that forwards the client's host and address. Request ids
# are off because the others make none.
gateway {
  request_id = ""
  admin {
    address = "off"
  }
}

listener "public" {
  address = "127.0.0.1:18083"
}

listener "secure" {
  address = "127.0.0.1:18183"
  tls {
    certificates = [certificate.local]
  }
}

certificate "local" {
  cert_file = "cert.pem"
  key_file  = "key.pem"
}

upstream "backend" {
  endpoint "127.0.0.1:18080" {}
}

route "all" {
  upstream = upstream.backend
}
