# Routes that match the same requests.
upstream "u" {
  endpoint "h:1" {}
}
listener "l" {
  address = ":8080"
}
route "a" {
  path     = "/a/{x}"
  upstream = upstream.u
}
route "b" { # ERROR: The routes "a" and "b" match the same requests
  path     = "/a/{y}"
  upstream = upstream.u
}
route "c" {
  path_regex = "("  # ERROR: Route "c"
  upstream   = upstream.u
}
route "d" {
  path     = "/d/{x}/{x}" # ERROR: Route "d"
  upstream = upstream.u
}
