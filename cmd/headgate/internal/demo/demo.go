// Package demo runs the backends of the examples: real HTTP servers in one
// process, on loopback, with their data in memory. One is a REST service of
// orders (with an echo, an event stream and a WebSocket beside it), one a
// service of users, one an old SOAP 1.1 service of stock.
//
// It must not know the gateway: to it, the gateway is a client like any other.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Addresses are where the backends listen, as host:port.
type Addresses struct{ Orders, Users, Stock string }

// Defaults are the addresses that the examples use.
func Defaults() Addresses {
	return Addresses{Orders: "127.0.0.1:7001", Users: "127.0.0.1:7002", Stock: "127.0.0.1:7003"}
}

// Backends are running servers.
type Backends struct {
	addrs   Addresses
	servers []*http.Server
	cancel  context.CancelFunc // ends event streams and WebSockets
	serving sync.WaitGroup
	orders  *orders

	mu  sync.Mutex
	err error // of a server that ended by itself
}

// Start binds the addresses (port 0 is fine) and serves until Stop. After an
// error nothing is left bound.
func Start(a Addresses) (*Backends, error) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &Backends{cancel: cancel, orders: newOrders()}
	var listeners []net.Listener
	for _, s := range []struct {
		name, address string
		bound         *string
		handler       http.Handler
	}{
		{"orders", a.Orders, &b.addrs.Orders, b.orders.handler()},
		{"users", a.Users, &b.addrs.Users, usersHandler()},
		{"stock", a.Stock, &b.addrs.Stock, stockHandler()},
	} {
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			cancel()
			return nil, fmt.Errorf("the %s backend: %w", s.name, err)
		}
		*s.bound = l.Addr().String()
		listeners = append(listeners, l)
		b.servers = append(b.servers, &http.Server{
			Handler:           s.handler,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			BaseContext:       func(net.Listener) context.Context { return ctx },
		})
	}
	for i, srv := range b.servers {
		b.serving.Go(func() {
			if err := srv.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				b.mu.Lock()
				b.err = errors.Join(b.err, err)
				b.mu.Unlock()
			}
		})
	}
	return b, nil
}

// Addresses returns where the backends listen.
func (b *Backends) Addresses() Addresses { return b.addrs }

// Stop ends streams at once, lets other requests finish until ctx ends, and
// returns with no goroutine left.
func (b *Backends) Stop(ctx context.Context) error {
	b.cancel()
	for _, s := range b.servers {
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}
	b.serving.Wait()
	b.orders.sockets.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status has left; a client that went away is nobody's error.
	_ = json.NewEncoder(w).Encode(v)
}

// problem is an error answer (RFC 9457).
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Errors []fieldError `json:"errors,omitempty"`
}

// fieldError says what is wrong with one member of a body.
type fieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func writeProblem(w http.ResponseWriter, status int, detail string, errs ...fieldError) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem{"about:blank", http.StatusText(status), status, detail, errs})
}

// notAllowed answers 405.
func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		writeProblem(w, http.StatusMethodNotAllowed, r.Method+" is not possible here")
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
}
