package demo

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// echo answers with the request as it arrived here.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeProblem(w, http.StatusRequestEntityTooLarge, "the body is too large to be echoed")
		return
	}
	headers := map[string]string{"host": r.Host}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.RawQuery,
		"protocol": r.Proto, "headers": headers, "body": string(body),
	})
}

// events sends one event each second until the client leaves.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		if _, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"n\":%d}\n\n", n, n); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// socket sends every message back.
func (o *orders) socket(w http.ResponseWriter, r *http.Request) {
	// A server does not count connections that were taken over.
	o.sockets.Add(1)
	defer o.sockets.Done()
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// The gateway may keep the client's Host or not; nothing is at stake here.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	for {
		kind, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, p) != nil {
			return
		}
	}
}
