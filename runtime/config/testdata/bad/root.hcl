gatway { # ERROR: Did you mean "gateway"?
}
rout "x" { # ERROR: Did you mean "route"?
}
upstream { # ERROR: Missing name
}
gateway {
}
gateway { # ERROR: one gateway block
}
listener "a" { # ERROR: needs address
  adress = ":80" # ERROR: Did you mean "address"?
}
listener "a" { # ERROR: The listener "a" is declared already
  address = ":81"
}
upstream "u u" { # ERROR: can't be a name
}
certificate "c" { # ERROR: needs cert_file | needs key_file
}
variable "v" { # ERROR: has no default
}
variable "d" {
  default = var.v # ERROR: constant
}
variable "t" {
  type    = strin # ERROR: type
  default = 1
}
variable "n" {
  type    = number
  default = "x" # ERROR: The default for variable n is not a number
}
locals {
  a = local.b # ERROR: depends on itself: a -> b -> a
  b = local.a
  c = loca.a         # ERROR: Did you mean "local"?
  d = local.x        # ERROR: There is no local value "x"
  e = var.nothing    # ERROR: There is no variable "nothing"
  f = request.path   # ERROR: is known only while a request is served
  g = upstream.o     # ERROR: refers to a block
  h = lowr("A")      # ERROR: Did you mean "lower"?
  i = each.key       # ERROR: for_each
  j = eu             # ERROR: A string needs quotes
  k = file("none")   # ERROR: can't be read
  l = env("UNSET")   # ERROR: has no variable "UNSET"
  m = 1 + "a"        # ERROR: a number is required
}
locals {
  c = 1 # ERROR: The local value "c" is declared already
}
