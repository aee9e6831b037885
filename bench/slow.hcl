# Five endpoints of which one turns slow; see slow.go.
variable "balance" {
  default = "least_request"
}

variable "factor" {
  type    = number
  default = 0
}

gateway {
  request_id = ""
  admin {
    address = "off"
  }
}

listener "public" {
  address = "127.0.0.1:18087"
}

upstream "five" {
  dynamic "endpoint" {
    for_each = ["18091", "18092", "18093", "18094", "18095"]
    labels   = ["127.0.0.1:${endpoint.value}"]
    content {}
  }
  balance = var.balance
  outlier_detection {
    consecutive_errors = 0
    latency_factor     = var.factor
    interval           = "1s"
  }
}

route "all" {
  upstream = upstream.five
}
