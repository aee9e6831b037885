// Package devserver is what someone who writes a plugin has around it: a backend
// that shows what reaches it, and an eye on the sources. It knows nothing of
// gateways and plugins.
package devserver

import (
	"fmt"
	"io"
	"net/http"
	"slices"
)

// maxEcho bounds the part of a body that is shown, in bytes.
const maxEcho = 1 << 20

// Echo answers with the request as it came.
func Echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s\nhost: %s\n", r.Method, r.URL.RequestURI(), r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", http.CanonicalHeaderKey(name), value)
		}
	}
	fmt.Fprintln(w)
	_, _ = io.Copy(w, io.LimitReader(r.Body, maxEcho)) // a client that is gone sees nothing
}
