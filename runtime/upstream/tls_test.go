package upstream

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	for what, c := range map[string]struct {
		spec TLS
		err  any // nil: none
	}{
		"by address":        {TLS{CAFile: ca}, nil},
		"by name":           {TLS{CAFile: ca, ServerName: "example.com"}, nil},
		"another name":      {TLS{CAFile: ca, ServerName: "other.test"}, &name},
		"unknown authority": {TLS{}, &unknown},
		"insecure":          {TLS{Insecure: true}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			_, e := endpoint(t, registry(t), Config{TLS: &c.spec}, s.Listener.Addr().String())
			conn, _, err := e.Acquire(t.Context(), false)
			if c.err != nil {
				if !errors.As(err, c.err) || e.Active() != 0 || e.info().Errors.Connect != 1 {
					t.Fatalf("%v, %+v", err, e.info())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			use(t, conn, "/a")
			e.Release(conn)
			again, reused := acquire(t, e, false)
			use(t, again, "/b")
			e.Discard(again)
			if !reused {
				t.Error("the connection was not kept")
			}
		})
	}
}
