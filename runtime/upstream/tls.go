package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// TLS says how endpoints are reached over TLS. Files are read again when they
// have changed: new connections use what they hold then.
type TLS struct {
	// ServerName is what the certificate of an endpoint has to be for; "" is the
	// host of its address.
	ServerName        string
	CAFile            string // PEM; "" means the authorities of the system
	CertFile, KeyFile string // both or none
	Insecure          bool   // any certificate will do
}

var (
	errNoAuthorities = errors.New("holds no certificate")
	errNoHTTP2       = errors.New("the endpoint does not agree on HTTP/2 (ALPN \"h2\")")
)

// originator makes the handshakes with one endpoint.
type originator struct {
	spec   TLS
	name   string
	offers []string // by ALPN

	mu     sync.Mutex
	seen   [3]stamp
	config *tls.Config
	stream *tls.Config // the same without ALPN
}

// stamp tells whether a file changed.
type stamp struct {
	at   time.Time
	size int64
}

func newOriginator(spec TLS, address string, offers []string) *originator {
	o := &originator{spec: spec, name: spec.ServerName, offers: offers}
	if host, _, err := net.SplitHostPort(address); o.name == "" && err == nil {
		o.name = host
	}
	return o
}

// handshake owns nc and closes it if it fails.
func (o *originator) handshake(ctx context.Context, nc net.Conn, stream bool) (net.Conn, error) {
	config, err := o.current(stream)
	if err != nil {
		nc.Close()
		return nil, err
	}
	t := tls.Client(nc, config)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS with %s: %w", nc.RemoteAddr(), err)
	}
	// HTTP/2 has to be agreed on (RFC 9113 section 3.2).
	if len(config.NextProtos) == 1 && config.NextProtos[0] == "h2" && t.ConnectionState().NegotiatedProtocol != "h2" {
		t.Close()
		return nil, fmt.Errorf("TLS with %s: %w", nc.RemoteAddr(), errNoHTTP2)
	}
	return t, nil
}

// current returns the settings made of the files as they are. Sessions of earlier
// files are not resumed: they stand for the checks of then.
func (o *originator) current(stream bool) (*tls.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.refresh(); err != nil {
		return nil, err
	}
	if stream {
		return o.stream, nil
	}
	return o.config, nil
}

// refresh reads files that changed. o.mu is held.
func (o *originator) refresh() error {
	var now [3]stamp
	for i, path := range [...]string{o.spec.CAFile, o.spec.CertFile, o.spec.KeyFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if o.config != nil && now == o.seen {
		return nil
	}
	config, err := o.spec.load(o.name)
	if err != nil {
		return err
	}
	o.stream = config
	o.config = config.Clone()
	o.config.NextProtos = o.offers
	o.seen = now
	return nil
}

func (s TLS) load(name string) (*tls.Config, error) {
	c := &tls.Config{
		ServerName: name, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Insecure,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, err
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %w", s.CAFile, errNoAuthorities)
		}
	}
	if s.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.CertFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Check reads the files and tells what is wrong with them.
func (s TLS) Check() error {
	_, err := s.load("")
	return err
}
