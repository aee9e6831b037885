# The process: admin API, debugging, the door and the backends behind it.
# All *.hcl files of this folder are one configuration; their order has no
# meaning. Edit one while the gateway runs: the change is live at once, or, if
# it has an error, refused as a whole while the old configuration keeps serving.

gateway {
  admin {
    address = "127.0.0.1:9901"
  }
  debug {
    # A request with this header is answered with a server-timing header that
    # shows what each filter took.
    header = "x-debug"
  }
}

listener "public" {
  address = "127.0.0.1:8080"
}

# The backends of `headgate demo`.
upstream "orders" {
  endpoint "127.0.0.1:7001" {}
}

upstream "users" {
  endpoint "127.0.0.1:7002" {}
}

upstream "stock" {
  endpoint "127.0.0.1:7003" {}
}
