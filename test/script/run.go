package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// patience bounds one exchange, streams included.
const patience = 15 * time.Second

// Run sends the requests of the script at path to baseURL
// ("http://127.0.0.1:8080"), in order, and reports what differs.
func Run(t testing.TB, baseURL, path string) {
	t.Helper()
	list, err := ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	for i := range list {
		if err := list[i].Do(t.Context(), tr, baseURL); err != nil {
			t.Errorf("%s:%d: %s: %v", path, list[i].Line, list[i].Name, err)
		}
	}
}

// Do performs one exchange. Its error joins all differences.
func (e *Exchange) Do(ctx context.Context, tr http.RoundTripper, baseURL string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, e.Method, strings.TrimSuffix(baseURL, "/")+e.Target, nil)
	if err != nil {
		return err
	}
	if e.Body != "" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(e.Body)), int64(len(e.Body))
	}
	for _, f := range e.Headers {
		if strings.EqualFold(f.Name, "host") {
			r.Host = f.Value
		} else {
			r.Header.Add(f.Name, f.Value)
		}
	}
	// A round trip, not a client: redirects are answers like any other.
	res, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var errs []error
	if res.StatusCode != e.Status {
		errs = append(errs, fmt.Errorf("status %d, want %d", res.StatusCode, e.Status))
	}
	for _, f := range e.Want {
		if err := f.check(res.Header); err != nil {
			errs = append(errs, err)
		}
	}
	body, err := e.read(res.Body)
	if err != nil {
		errs = append(errs, fmt.Errorf("body: %w", err))
	}
	if err := e.checkBody(body); err != nil {
		errs = append(errs, err)
	} else if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("body %q", body))
	}
	return errors.Join(errs...)
}

// maxBody bounds what is read of an answer.
const maxBody = 4 << 20

// read reads all of the body, or as much of it as the expectations need.
func (e *Exchange) read(r io.Reader) (string, error) {
	early := !e.HasExact && len(e.Lacks) == 0 && len(e.Contains) > 0
	var body strings.Builder
	buf := make([]byte, 16<<10)
	for body.Len() < maxBody {
		n, err := r.Read(buf)
		body.Write(buf[:n])
		if err == io.EOF {
			return body.String(), nil
		}
		if early && e.checkBody(body.String()) == nil {
			return body.String(), nil
		}
		if err != nil {
			return body.String(), err
		}
	}
	return body.String(), errors.New("too long")
}

func (e *Exchange) checkBody(body string) error {
	var errs []error
	if e.HasExact && !same(body, e.Exact) {
		errs = append(errs, fmt.Errorf("body %q, want %q", body, e.Exact))
	}
	for _, s := range e.Contains {
		if !strings.Contains(body, s) {
			errs = append(errs, fmt.Errorf("body %q lacks %q", body, s))
		}
	}
	for _, s := range e.Lacks {
		if strings.Contains(body, s) {
			errs = append(errs, fmt.Errorf("body %q has %q", body, s))
		}
	}
	return errors.Join(errs...)
}

// same compares as JSON if both are, else as text.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil {
		return reflect.DeepEqual(x, y)
	}
	return strings.TrimSpace(a) == strings.TrimSpace(b)
}

func (f *Field) check(h http.Header) error {
	values := h.Values(f.Name)
	got := strings.Join(values, ", ")
	switch {
	case f.Absent && len(values) > 0:
		return fmt.Errorf("%s: %s should not be there", f.Name, got)
	case f.Absent:
		return nil
	case len(values) == 0:
		return fmt.Errorf("no %s", f.Name)
	case f.Match != nil && !f.Match.MatchString(got):
		return fmt.Errorf("%s: %s does not match %s", f.Name, got, f.Match)
	case f.Match == nil && got != f.Value:
		return fmt.Errorf("%s: %s, want %s", f.Name, got, f.Value)
	}
	return nil
}
