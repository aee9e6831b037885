package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/http1"
)

// serveTLS makes the handshake and hands the connection to the protocol that
// both sides agreed on. The settings are those of the moment: a connection keeps
// what it began with.
func (k *socket) serveTLS(nc net.Conn, spec *Spec, info *exchange.Conn) {
	t, err := k.handshake(nc, spec)
	if err != nil {
		k.refused(nc, refusedHandshake, err)
		return
	}
	state := t.ConnectionState()
	info.TLS = &state
	server := spec.TLS
	info.Covers = func(host string) bool { return server.Covers(state.ServerName, host) }
	switch p := state.NegotiatedProtocol; {
	case p == "h2" && spec.H2C:
		k.http2.ServeConn(k.ctx, t, info)
	case (p == "http/1.1" || p == "") && spec.HTTP1:
		k.http1.ServeConn(k.ctx, t, info)
	default:
		// acme-tls/1, whose handshake was all there is to it (RFC 8737 section
		// 3), or no protocol where HTTP/2, which has to be agreed on, is the only
		// one (RFC 9113 section 3.2).
		t.Close()
	}
}

// errPlain tells that a client sent a request in the clear.
var errPlain = errors.New("an HTTP request in the clear")

func (k *socket) handshake(nc net.Conn, spec *Spec) (*tls.Conn, error) {
	if !k.openings.bound(nc, spec.Timeouts.Header, handshakeGrace) {
		return nil, net.ErrClosed
	}
	defer k.openings.release(nc)
	t := tls.Server(http1.NewBeneath(nc), spec.TLS.Config())
	err := t.Handshake()
	if err == nil {
		return t, nil
	}
	var alien tls.RecordHeaderError
	if errors.As(err, &alien) && alien.Conn != nil && looksLikeHTTP(alien.RecordHeader[:]) {
		answerPlain(nc)
		return nil, errPlain
	}
	return nil, err
}

// looksLikeHTTP reports whether a connection that begins with p carries HTTP: a
// method, and maybe what follows it, in place of a record header.
func looksLikeHTTP(p []byte) bool {
	for i, c := range p {
		if c == ' ' {
			return i > 0
		}
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

const plainText = "This port speaks HTTPS; the request came as plain HTTP.\n"

// answerPlain answers a request that came in the clear to a TLS port.
func answerPlain(nc net.Conn) {
	_, _ = io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "+
		strconv.Itoa(len(plainText))+"\r\nConnection: close\r\n\r\n"+plainText)
	linger(nc, time.Second)
}

// linger waits a moment for the client to close, so that it can read the answer:
// bytes that arrive at a closed socket would take it away.
func linger(nc net.Conn, d time.Duration) {
	if t, ok := nc.(interface{ CloseWrite() error }); !ok || t.CloseWrite() != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(d))
	_, _ = io.CopyN(io.Discard, nc, 64<<10)
}

// refused ends a connection that got to no protocol.
func (k *socket) refused(nc net.Conn, why refusal, err error) {
	k.counts.refused[why].Add(1)
	nc.Close()
	if log := k.set.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("connection refused", "listener", k.spec.Load().Name, "client", addrText(nc), "reason", why.String(), "error", err.Error())
	}
}

func addrText(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
