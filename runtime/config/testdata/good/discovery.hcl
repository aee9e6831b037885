upstream "orders" {
  dns {
    name    = "orders.internal"
    port    = 8080
    refresh = "30s"
  }
}

upstream "users" {
  dns {
    name = "_http._tcp.users.internal"
    type = "srv"
  }
}

upstream "carts" {
  file {
    path = "carts.json"
  }
}
