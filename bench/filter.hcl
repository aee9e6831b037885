# A filter in front of the backend; see filter.go.
variable "address" {}

gateway {
  request_id = ""
  admin {
    address = "off"
  }
}

listener "public" {
  address = var.address
}

upstream "backend" {
  endpoint "127.0.0.1:18080" {}
}

plugin "guest" {
  source = "guest.wasm"
}

route "all" {
  filter "guest" {
    config = "seen"
  }
  upstream = upstream.backend
}
