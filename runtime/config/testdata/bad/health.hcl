upstream "a" {
  endpoint "h:1" {}
  health_check {
    type      = "htp"           # ERROR: Did you mean "http"?
    path      = "healthz"       # ERROR: can't be requested
    host      = "a/b"           # ERROR: can't be a Host
    headers   = { host = "a" }  # ERROR: there is health_check.host
    expect    = [200, 1000]     # ERROR: from 100 to 599
    interval  = "1ms"           # ERROR: at least "10ms"
    timeout   = "0s"            # ERROR: at least "1ms"
    healthy   = 0               # ERROR: from 1 to 1000
    unhealthy = "many"          # ERROR: takes a number
    panic     = 101             # ERROR: from 0 to 100
  }
}
upstream "b" {
  endpoint "h:1" {}
  health_check {
    type     = "grpc"      # ERROR: needs HTTP/2
    path     = "/"         # ERROR: is for type = "http"
    contains = "SERVING"   # ERROR: is for type = "http"
  }
  health_check { # ERROR: one health_check block
  }
}
upstream "c" {
  endpoint "h:1" {}
  health_check {
    expect    = "200" # ERROR: takes a list of numbers
    intervall = "1s"  # ERROR: Did you mean "interval"?
  }
}
upstream "e" {
  endpoint "h:1" {}
  health_check {
    expect = [] # ERROR: at least one status
  }
}
upstream "d" {
  endpoint "h:1" {}
  outlier_detection {
    consecutive_errors  = -1    # ERROR: from 0 to 1000
    success_rate        = 101   # ERROR: from 0 to 100
    latency_factor      = 0.5   # ERROR: above 1
    interval            = "1ms" # ERROR: at least
    eject               = "0s"  # ERROR: at least
    max_ejected_percent = "x"   # ERROR: takes a number
  }
}
