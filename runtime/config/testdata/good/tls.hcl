listener "public" {
  address   = "127.0.0.1:8443"
  protocols = ["http/1.1", "h2", "h3"]
  tls {
    certificates = [certificate.api, certificate.rsa, certificate.other]
    min_version  = "1.3"
    max_version  = "1.3"
    client_auth {
      mode    = "request"
      ca_file = "../tls/ca.crt"
      forward = true
    }
  }
}

listener "partners" {
  address   = "127.0.0.1:8444"
  protocols = ["http/1.1"]
  tls {
    certificates = [certificate.api]
    client_auth {
      mode    = "require"
      ca_file = "../tls/ca.crt"
    }
  }
}

listener "open" {
  address = "127.0.0.1:8445"
  tls {
    certificates = [certificate.api]
    min_version  = "1.2"
    max_version  = "1.2"
    client_auth {
      mode    = "none"
      ca_file = "../tls/ca.crt"
    }
  }
}

certificate "api" {
  cert_file = "../tls/api.crt"
  key_file  = "../tls/sec1.key"
}
certificate "rsa" {
  cert_file = "../tls/rsa.crt"
  key_file  = "../tls/rsa.key"
}
certificate "other" {
  cert_file = "../tls/other.crt"
  key_file  = "../tls/other.key"
}

route "r" {
  respond {
    body = "${tls.client.subject} ${tls.client.fingerprint} ${tls.client.san[0]}"
  }
}
