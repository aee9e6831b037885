listener "public" {
  address = ":8080"
}
upstream "orders" {
  endpoint "h:1" {}
}
upstream "many" {
  for_each = toset(["a"])
  endpoint "h:1" {}
}
policy "authz" {
  rego   = ["../good/policies"]
  decide = "data.authz.decision"
}
route "nothing" { # ERROR: exactly one of upstream, split, redirect and respond
}
route "both" {
  upstream = upstream.orders
  respond { # ERROR: this one has upstream already
  }
}
route "refs" {
  listeners = [listener.publik] # ERROR: Did you mean "public"?
  use       = chain.x           # ERROR: takes a list of references
  upstream  = upstream.ordrs    # ERROR: Did you mean "orders"?
}
route "kinds" {
  path      = "/kinds"
  listeners = [upstream.orders, listener.public, listener.public] # ERROR: refers to a listener | in the list already
  upstream  = policy.authz # ERROR: refers to an upstream, not to a policy
}
route "instances" {
  path = "/i"
  split {
    to "a" {
      upstream = upstream.many # ERROR: name one of its instances
    }
    to "b" {
      upstream = upstream.many["b"] # ERROR: has no instance "b"
    }
    to "c" {
      upstream = upstream.orders["x"] # ERROR: has no for_each
    }
    to "c" { # ERROR: a to block "c" already
      upstream = upstream.orders
      weight   = -1 # ERROR: from 0 to
    }
    to "d" { # ERROR: needs upstream
    }
  }
}
route "paths" {
  path        = "orders" # ERROR: A path starts with "/"
  path_prefix = "/x"     # ERROR: at most one of
  methods     = ["get", "A B"] # ERROR: Did you mean "GET"? | can't be a method
  hosts       = ["https://x", "*", "a/b"] # ERROR: "https://x" is not a host name | "*" is not | "a/b" is not
  upstream    = upstream.orders
  timeout     = "1"    # ERROR: needs a unit
  buffer      = "1 XB" # ERROR: a size is
  mirror {
    upstream = upstream.orderz # ERROR: Did you mean "orders"?
    percent  = 101             # ERROR: takes a number from 0 to 100, not 101
  }
}
route "mirror" {
  path = "/mirror"
  respond {}
  mirror { # ERROR: mirror needs upstream | this one answers itself
  }
}
route "compose" {
  compose { # ERROR: not available
  }
}
route "match" {
  path     = "/match"
  upstream = upstream.orders
  match {
    remote_ip = "10.0.0.0/8" # ERROR: takes a list of strings
    header "x" { # ERROR: A condition has one of
    }
    header "a b" { # ERROR: can't be the name of a header
      equals = "1"
    }
    query "q" {
      equals = "1"
      prefix = "2" # ERROR: has equals already
    }
    cookie "c" {
      regex = "(" # ERROR: missing closing
    }
    json "j" {
      equals = ["x"] # ERROR: takes a string
    }
  }
}
route "exprs" {
  path     = "/e/{id}"
  upstream = upstream.orders
  rewrite {
    path  = "/v2/${path.idd}?x=1" # ERROR: Did you mean "id"? | A path has no
    host  = "a/b"             # ERROR: is a host name
    query = request.raw_query # ERROR: takes a map
  }
  request_headers {
    set = {
      Connection        = "close"           # ERROR: belongs to one connection
      content-length    = "1"               # ERROR: from the length of the body
      transfer-encoding = "chunked"         # ERROR: frames messages itself
      host              = "x"               # ERROR: rewrite { host
      "a b"             = "x"               # ERROR: can't be the name of a header
      x-a               = response.status   # ERROR: before there is a response
      x-b               = requst.path       # ERROR: Did you mean "request"?
      x-c               = request.pth       # ERROR: Did you mean "path"?
      x-d               = request.header    # ERROR: Say which one
      x-e               = "a\nb"            # ERROR: no line breaks
      x-f               = uper(request.path) # ERROR: Did you mean "upper"?
      x-g               = [for s in split("/", request.path) : s] # ERROR: can't use request-time values
      x-h               = request.json[request.path] # ERROR: has to be known when
      x-i               = request.method.x  # ERROR: has no members
      x-j               = regex(request.path, "a") # ERROR: The pattern has to be a string
      x-k               = lower(request.path, "a") # ERROR: takes 1 arguments
      X-K               = "again"           # ERROR: already
    }
    remove = ["Upgrade"] # ERROR: belongs to one connection
  }
}
route "redirect" {
  path = "/r"
  redirect {
    status = 200 # ERROR: from 300 to 399
    url    = ""  # ERROR: is not a URL
  }
}
route "respond" {
  path = "/s"
  respond {
    status = 204
    body   = "x" # ERROR: has no body
  }
}
route "no-template" {
  path_prefix = "/n"
  redirect {
    url = "/${path.id}" # ERROR: no path with variables
  }
}
