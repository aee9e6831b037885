package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

type digest [sha256.Size]byte

func sum(token string) digest { return sha256.Sum256([]byte(token)) }

// guard lets a request through to next only if it can't be the work of a web
// page: a page that was rebound to our address by DNS names its own host, and a
// page that posts to us is given away by its browser.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		if !s.named(r) {
			problem(w, http.StatusForbidden, "Forbidden host",
				"The admin API answers only to loopback names and to its own address as Host.")
			return
		}
		authorized := s.authorized(r)
		if s.token.Load() != nil && !authorized && !probe(r.URL.Path) {
			h.Set("WWW-Authenticate", `Bearer realm="headgate"`)
			problem(w, http.StatusUnauthorized, "Token required", "Send the admin token as a bearer token.")
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && browser(r) && !authorized {
			problem(w, http.StatusForbidden, "Forbidden origin",
				"A web page may not do this. Use a client that is no browser, or send the admin token.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// named reports whether the request names this server: by a name that always
// means this machine, by the configured host, or by the very address that the
// connection came to. None of them can be rebound.
func (s *Server) named(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" {
		return false
	}
	if loopbackName(host) || s.own != "" && host == strings.ToLower(s.own) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return err == nil && ok && ip.Unmap() == local.AddrPort().Addr().Unmap().WithZone("")
}

func loopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// browser reports whether a browser made the request on behalf of a page. Every
// current browser sends Origin with a POST, and Sec-Fetch-Site with anything;
// neither can be left out by the page. Old ones sent Referer.
func browser(r *http.Request) bool {
	return len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 || len(r.Header["Referer"]) > 0
}

// authorized compares digests, so that neither the time of the comparison nor
// the length of the token tells anything.
func (s *Server) authorized(r *http.Request) bool {
	want := s.token.Load()
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if want == nil || !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got := sum(strings.TrimSpace(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// probe reports whether path is for orchestrators, which carry no token. Probes
// tell yes or no.
func probe(path string) bool { return path == "/healthz" || path == "/ready" }
