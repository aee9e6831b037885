gateway {
  admin {
    address = "127.0.0.1:9901"
  }
}

listener "public" {
  address = "127.0.0.1:8443"
  tls {
    certificates = [certificate.shop, certificate.shop-rsa, certificate.tenants]
  }
}

listener "partners" {
  address = "127.0.0.1:9443"
  tls {
    certificates = [certificate.shop]
    min_version  = "1.3"
    client_auth {
      mode    = "require"
      ca_file = "certs/ca.crt"
    }
  }
}

certificate "shop" {
  cert_file = "certs/shop.crt"
  key_file  = "certs/shop.key"
}

certificate "shop-rsa" {
  cert_file = "certs/shop-rsa.crt"
  key_file  = "certs/shop-rsa.key"
}

certificate "tenants" {
  cert_file = "certs/tenants.crt"
  key_file  = "certs/tenants.key"
}

route "hello" {
  listeners = [listener.public]
  respond {
    body = "hello from ${request.host}\n"
  }
}

route "partners" {
  listeners = [listener.partners]
  respond {
    body = "welcome, ${tls.client.subject}\n"
  }
}
