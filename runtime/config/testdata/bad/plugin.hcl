plugin "a" { # ERROR: needs source
}
plugin "b" {
  source      = "https://example.com/x.wasm"
  sha256      = "abc"                        # ERROR: 64 hexadecimal digits
  vm_config   = "x"
  concurrency = 0                            # ERROR: from 1
  on_error    = "alow"                       # ERROR: Did you mean "allow"?
  allow {
    fetch = ["https://a/b"] # ERROR: neither a path
    state = [""] # ERROR: from 1 to 100 bytes
    headers {
      read = ["a b"] # ERROR: can't be the name of a header
    }
  }
  limits {
    memory = "1KiB" # ERROR: from 64KiB
    cpu    = "0s"   # ERROR: can't be 0
  }
}
plugin "c" {
  source = "missing.wasm" # ERROR: can't be read: no such file
}
plugin "d" {
  source = "oci://x/Y" # ERROR: not the name of an image
}
plugin "unknown" {
  source = "../good/geo.module"
  allow {
    fetch = [upstream.u] # ERROR: There is no upstream "u"
    auth  = "yes"        # ERROR: true or false
    call  = [
      plugin.nobody,  # ERROR: There is no plugin "nobody"
      policy.nothing, # ERROR: There is no policy "nothing"
      "geo",          # ERROR: plugin.
    ]
  }
}
plugin "remote" {
  source = "https://example.com/x.wasm" # ERROR: needs plugin.sha256
}
plugin "clear" {
  source = "http://example.com/x.wasm" # ERROR: not from http://
}
plugin "key" {
  source          = "../good/geo.module"
  public_key_file = "plugin.hcl" # ERROR: only images carry signatures
}
plugin "nokey" {
  source          = "oci://registry.example.com/geo:v1"
  public_key_file = "plugin.hcl" # ERROR: is no public key
}
plugin "e" {
  source = "../good" # ERROR: is a directory
}
plugin "policy" { # ERROR: is a built-in filter
  source = "../good/geo.module"
}
