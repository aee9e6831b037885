listener "public" {
  address = "127.0.0.1:8080"
}
upstream "h2" {
  endpoint "127.0.0.1:9001" {}
  protocol = "h2"
  tls {
    server_name = "orders.internal"
    ca_file     = "../tls/ca.crt"
    cert_file   = "../tls/api.crt"
    key_file    = "../tls/sec1.key"
  }
}
upstream "auto" {
  endpoint "127.0.0.1:9002" {}
  protocol = "auto"
  tls {}
}
upstream "socket" {
  endpoint "unix:/run/orders.sock" {}
  proxy_protocol = "v2"
  tls {
    server_name = "orders.internal"
  }
}
upstream "text" {
  endpoint "127.0.0.1:9003" {}
  proxy_protocol = "v1"
}
route "r" {
  upstream = upstream.h2
}
