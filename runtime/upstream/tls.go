package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// TLS says how endpoints are reached over TLS. Files are read again when they
// have changed: new connections use what they hold then, or what they held before
// if that can't be used.
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
	offers []string     // by ALPN
	log    *slog.Logger // nil: none

	mu     sync.Mutex
	seen   [3]stamp // what was read last, taken or not
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

// refresh reads files that changed. What can't be used leaves in force what was
// read before, and is looked at again when it changes. o.mu is held.
func (o *originator) refresh() error {
	now, err := o.spec.stat()
	if o.config != nil && now == o.seen {
		return nil
	}
	var config *tls.Config
	if err == nil {
		config, err = o.spec.load(o.name)
	}
	switch {
	case err == nil:
		o.stream = config
		o.config = config.Clone()
		o.config.NextProtos = o.offers
	case o.config == nil:
		return err
	case o.log != nil:
		o.log.Error("the new TLS files of an upstream can't be used; those from before stay", "error", err.Error())
	}
	o.seen = now
	return nil
}

// stat tells the state of the files, which is zero for one that is missing.
func (s TLS) stat() (now [3]stamp, err error) {
	for i, path := range [...]string{s.CAFile, s.CertFile, s.KeyFile} {
		if path == "" {
			continue
		}
		info, statErr := os.Stat(path)
		if statErr != nil {
			err = statErr
			continue
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	return now, err
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
