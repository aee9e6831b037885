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

upstream "backend" {
  endpoint "127.0.0.1:18080" {}
}

route "all" {
  upstream = upstream.backend
}
