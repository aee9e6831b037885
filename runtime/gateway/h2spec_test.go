package gateway_test

import (
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/need"
)

// h2specKnown are the cases of h2spec that golang.org/x/net/http2 answers in a
// way of its own; docs/grpc.md tells of them. A case that starts to pass has to
// leave the list.
var h2specKnown = []string{
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field",
	"http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"",
}

// TestH2Spec runs the conformance cases of h2spec against routes that go to a
// backend, in the clear and over TLS.
func TestH2Spec(t *testing.T) {
	program := need.Program(t, "h2spec")
	checkLeaks(t)
	addr := backend(t, seen)
	// HTTP/2 only: a listener that takes HTTP/1.1 too answers a broken preface in
	// HTTP/1.1, as it has to.
	r := start(t, secure(t, "", fmt.Sprintf(`
listener "h2c" {
  address   = "127.0.0.1:0"
  protocols = ["h2"]
}
upstream "b" {
  endpoint %q {}
}
route "all" {
  upstream = upstream.b
}`, addr)))
	for listener, options := range map[string][]string{"h2c": nil, "tls": {"-t", "-k"}} {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			total, failed := h2spec(t, program, r.g.Addrs()[listener].String(), options...)
			if total != 145 {
				t.Errorf("%d cases ran, want 145", total)
			}
			for _, name := range failed {
				if !slices.Contains(h2specKnown, name) {
					t.Errorf("fails: %s", name)
				}
			}
			for _, name := range h2specKnown {
				if !slices.Contains(failed, name) {
					t.Errorf("passes, and is on the list: %s", name)
				}
			}
		})
	}
}

// h2spec runs all cases against address and returns their number, and the
// sections and titles of those that failed.
func h2spec(t *testing.T, program, address string, options ...string) (total int, failed []string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	report := filepath.Join(t.TempDir(), "report.xml")
	out, err := exec.Command(program, append(options, "-h", host, "-p", port, "-o", "2", "-j", report)...).CombinedOutput()
	text, readErr := os.ReadFile(report)
	if readErr != nil {
		t.Fatal(err, readErr, string(out))
	}
	var doc struct {
		Suites []struct {
			Package string `xml:"package,attr"`
			Cases   []struct {
				Title   string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err, string(text))
	}
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			total++
			if c.Failure != nil || c.Error != nil || c.Skipped != nil {
				failed = append(failed, strings.TrimSpace(s.Package+" "+c.Title))
			}
		}
	}
	return total, failed
}
