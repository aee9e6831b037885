package http1_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TLS connections have no descriptor to wait on and write no vectors, but are
// the same otherwise; and a cut response ends without the closing alert.
func TestServerTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	large := strings.Repeat("0123456789", 20000)
	gone := make(chan bool, 2)
	s := http1.NewServer(handler(func(x *exchange.Exchange) {
		switch x.Request.Target {
		case "/large":
			x.Reply(200, "", []byte(large))
			x.Response.Length = exchange.Unknown
			reply(x)
		case "/cut":
			gone <- x.Front.Gone()
			x.Response.Status, x.Response.Length, x.Response.Body = 200, exchange.Unknown, x.Request.Body
			_ = x.Front.WriteHead()
			_ = x.Front.Write([]byte("abc"), false)
		default:
			x.Reply(200, "", []byte(x.Request.Scheme))
			reply(x)
		}
	}), http1.Limits{}, http1.Timeouts{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			tc := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
			if tc.Handshake() != nil {
				return
			}
			state := tc.ConnectionState()
			s.ServeConn(context.Background(), tc, exchange.NewConn(&exchange.ListenerInfo{}, nc.RemoteAddr(), nc.LocalAddr(), &state, 0))
		}
	}()
	talk := func(req string) (string, error) {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, req)
		b, err := io.ReadAll(c)
		return string(b), err
	}
	get := func(target, fields string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"
	}
	got, err := talk(get("/", "") + get("/large", "") + get("/", "Connection: close\r\n"))
	if err != nil || strings.Count(got, "\r\n\r\nhttps") != 2 || !strings.Contains(got, "\r\n\r\n30d40\r\n"+large+"\r\n0\r\n\r\n") {
		t.Errorf("%.300q, %v", got, err)
	}
	got, err = talk("POST /cut HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
	if err == nil {
		t.Errorf("%q looks whole", got)
	}
	if <-gone {
		t.Error("the client is gone while it is there")
	}
	<-done
}
