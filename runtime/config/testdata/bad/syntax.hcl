# What is around a syntax error is still checked.
upstream "a" {
  endpoint "h:1" {}
  timeout = "x" # ERROR: can't be "x"
}
route "r" {
  upstream = upstream.a b # ERROR: Missing newline
}
route "s" {
  path     = "/s"
  upstream = upstream.nowhere
  timeout  = "y" # ERROR: can't be "y"
}
