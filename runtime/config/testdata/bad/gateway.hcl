gateway {
  trusted_proxies = ["10.0.0.0/8", "nonsense"] # ERROR: "nonsense" is not a network
  request_id      = "a b"                      # ERROR: can't be the name of a header
  body_memory     = 12.5                       # ERROR: not a whole number of bytes
  plugin_memory   = "1 GB/s"                   # ERROR: a size is a number and a unit
  admin {
    address = "0.0.0.0:9901" # ERROR: Set admin.token
  }
  admin { # ERROR: one admin block
  }
  log {
    level  = "inf"     # ERROR: Did you mean "info"?
    format = ["text"]  # ERROR: takes a string
  }
  access_log {
    format = "${request.method} ${path.id}" # ERROR: path variables belong to one
    path   = ""                             # ERROR: is "stdout", "stderr" or a file
  }
  tracing { # ERROR: not available
    otlp = "http://127.0.0.1:4318"
  }
  state {
    redis = "redis://x" # ERROR: not available
  }
  shutdown {
    delay = 5    # ERROR: a duration needs a unit
    drain = "-1s" # ERROR: not negative
  }
  limits {
    max_header_bytes = "1GiB" # ERROR: from 1KiB to 16MiB
    max_headers      = -1     # ERROR: from 1 to 10000
    max_requests     = 1.5    # ERROR: whole number
    max_connections  = "many" # ERROR: takes a number
  }
  debug {
    header = request.header["x"] # ERROR: known only while a request is served
  }
}
