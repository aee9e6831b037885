certificate "good" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/api.key"
}
certificate "none" { # ERROR: needs cert_file | needs key_file
}
certificate "half" { # ERROR: needs key_file
  cert_fiel = "../tls/api.crt" # ERROR: "cert_fiel" is not expected here
  cert_file = ""               # ERROR: is the path of a file
}
certificate "typed" {
  cert_file = ["../tls/api.crt"] # ERROR: takes a string
  key_file  = "../tls/api.key"
}
certificate "missing" {
  cert_file = "../tls/missing.crt" # ERROR: missing.crt: it can't be read: no such file
  key_file  = "../tls/missing.key" # ERROR: missing.key: it can't be read: no such file
}
certificate "directory" {
  cert_file = "../tls" # ERROR: not a regular file
  key_file  = "../tls" # ERROR: not a regular file
}
certificate "mismatch" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/other.key" # ERROR: private key is that of another certificate
}
certificate "swapped" {
  cert_file = "../tls/api.key" # ERROR: no certificate in it, but a PEM block "PRIVATE KEY"
  key_file  = "../tls/api.crt" # ERROR: no private key in it, but a PEM block "CERTIFICATE"
}
certificate "reversed" {
  cert_file = "../tls/reversed.crt" # ERROR: that of certificate 2 in the file
  key_file  = "../tls/api.key"
}
certificate "encrypted" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/encrypted.key" # ERROR: the private key is encrypted
}
certificate "encrypted-sec1" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/encrypted-sec1.key" # ERROR: the private key is encrypted
}
certificate "small" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/small.key" # ERROR: has 1024 bits
}
certificate "garbage" {
  cert_file = "../tls/garbage.pem" # ERROR: no PEM block
  key_file  = "../tls/garbage.pem" # ERROR: no PEM block
}
certificate "empty" {
  cert_file = "../tls/empty.pem" # ERROR: the file is empty
  key_file  = "../tls/empty.pem" # ERROR: the file is empty
}
certificate "broken" {
  cert_file = "../tls/broken.crt" # ERROR: certificate 1 of the file
  key_file  = "../tls/broken.key" # ERROR: the private key can't be read
}
certificate "named" {
  domains   = ["a.example.com"] # ERROR: domains goes with an acme block
  cert_file = "../tls/api.crt"
  key_file  = "../tls/api.key"
}
listener "a" {
  address = ":1"
  tls { # ERROR: needs certificates
  }
}
listener "b" {
  address = ":2"
  tls {
    certificates = [] # ERROR: at least one certificate
    min_version  = "1.1" # ERROR: not "1.1"
  }
}
listener "c" {
  address = ":3"
  tls {
    certificates = [certificate.goood] # ERROR: Did you mean "good"?
    min_version  = "1.3" # ERROR: above tls.max_version
    max_version  = "1.2"
    client_auth { # ERROR: no client is asked
      ca_file = "../tls/ca.crt"
    }
  }
}
listener "d" {
  address = ":4"
  tls {
    certificates = [certificate.good, certificate.good] # ERROR: in the list already
    client_auth { # ERROR: names the authorities
      mode = "require"
    }
    client_auth { # ERROR: one client_auth block
    }
  }
}
listener "e" {
  address = ":5"
  tls {
    certificates = [listener.a] # ERROR: refers to a certificate, not to a listener
    client_auth {
      mode    = "required" # ERROR: Did you mean "require"?
      forward = "yes"      # ERROR: takes true or false
    }
  }
}
listener "f" {
  address = ":6"
  tls {
    certificates = [certificate.good]
    client_auth {
      mode    = "require"
      ca_file = "../tls/api.key" # ERROR: no certificate in it
    }
  }
  tls { # ERROR: one tls block
    certificates = [certificate.good]
  }
}
