package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// page is one line of the index and one GET route.
type page struct {
	Path, What string
	handle     http.HandlerFunc
}

func (s *Server) routes() http.Handler {
	metrics := promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true, MaxRequestsInFlight: 8,
	})
	src := s.opts.Source
	pages := []page{
		{"/healthz", "whether the process is alive", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok\n") }},
		{"/ready", "whether traffic may come", s.ready},
		{"/metrics", "metrics in the Prometheus format", metrics.ServeHTTP},
		{"/config", "the configuration in force", answer(src.Config)},
		{"/config/status", "how the last load of the configuration went", answer(func() any { return src.Status() })},
		{"/routes", "routes in order of precedence", answer(src.Routes)},
		{"/upstreams", "upstreams and their endpoints", answer(src.Upstreams)},
		{"/plugins", "plugins and their instances", answer(src.Plugins)},
		{"/policies", "policies", answer(src.Policies)},
	}
	mux := http.NewServeMux()
	for _, p := range pages {
		mux.HandleFunc("GET "+p.Path, p.handle)
	}
	mux.HandleFunc("POST /config/reload", s.reload)
	mux.HandleFunc("POST /explain", s.explain)
	mux.HandleFunc("POST /upstreams/{upstream}/endpoints/{address}/drain", s.drain(true))
	mux.HandleFunc("POST /upstreams/{upstream}/endpoints/{address}/undrain", s.drain(false))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { s.index(w, pages) })
	return mux
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.opts.Source.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
		return
	}
	text(w, http.StatusOK, "ready\n")
}

// reload goes on when the client leaves: half a reload would help nobody.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	s.loading.Add(1)
	defer s.loading.Add(-1)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTimeout))
	if err := s.opts.Source.Reload(context.WithoutCancel(r.Context())); err != nil {
		problem(w, http.StatusUnprocessableEntity, "Configuration refused", err.Error())
		return
	}
	write(w, s.opts.Source.Status())
}

func (s *Server) drain(on bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.opts.Source.Drain(r.PathValue("upstream"), r.PathValue("address"), on); err != nil {
			problem(w, http.StatusNotFound, "Not found", err.Error())
			return
		}
		write(w, s.opts.Source.Upstreams())
	}
}

// maxQuestion bounds the body of an explain request.
const maxQuestion = 1 << 20

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	question, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, "Question too large", fmt.Sprintf("A question has at most %d bytes.", maxQuestion))
		return
	}
	answer, err := s.opts.Source.Explain(r.Context(), question)
	if err != nil {
		problem(w, http.StatusUnprocessableEntity, "Not a request", err.Error())
		return
	}
	write(w, answer)
}

func answer(get func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, get()) }
}

func write(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		problem(w, http.StatusInternalServerError, "Not representable", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n'))
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// problem answers as RFC 9457 has it.
func problem(w http.ResponseWriter, status int, title, detail string) {
	b, err := json.MarshalIndent(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", title, status, detail}, "", "  ")
	if err != nil { // strings and a number always marshal
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

const indexPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Headgate</title>
<style>body{font-family:system-ui,sans-serif;margin:2rem;max-width:50rem}td{padding:.2rem 1rem .2rem 0}pre{white-space:pre-wrap}</style>
<h1>Headgate</h1>
<p>Configuration: {{.Status.State}}, generation {{.Status.Generation}}{{if not .Status.LoadedAt.IsZero}}, since {{.Status.LoadedAt.Format "2006-01-02 15:04:05 MST"}}{{end}}</p>
{{with .Status.LastError}}<pre>{{.}}</pre>
{{end}}<table>
{{range .Pages}}<tr><td><a href="{{.Path}}">{{.Path}}</a><td>{{.What}}
{{end}}</table>
</html>
`

func (s *Server) index(w http.ResponseWriter, pages []page) {
	t, err := template.New("index").Parse(indexPage)
	var b strings.Builder
	if err == nil {
		err = t.Execute(&b, map[string]any{"Status": s.opts.Source.Status(), "Pages": pages})
	}
	if err != nil {
		problem(w, http.StatusInternalServerError, "No index page", err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}
