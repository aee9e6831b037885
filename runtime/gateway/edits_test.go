//go:build unix

package gateway_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// part is a file of the configuration that edits change.
type part struct {
	version int
	broken  bool
}

// text is what the file says: a route that answers with its version, or
// something that no start would take.
func (p part) text(name string, r *rand.Rand) string {
	good := fmt.Sprintf("route %q {\n  path = \"/%s\"\n  respond {\n    body = \"%s ${local.suffix} %d\"\n  }\n}\n", name, name, name, p.version)
	if !p.broken {
		return good
	}
	return []string{
		good[:len(good)/2],
		strings.Replace(good, "respond", "respnd", 1),
		strings.Replace(good, "local.suffix", "local.sufix", 1),
		good + good,
		strings.Replace(good, "respond {\n", "upstream = upstream.nowhere\n  respond {\n", 1),
		strings.Replace(good, "/"+name, "/{x", 1),
		"\x00" + good,
	}[r.IntN(7)]
}

// TestEdits makes random edits, one in four of them broken, under load: nothing
// is lost, and what is in force is always the last configuration that was valid.
func TestEdits(t *testing.T) {
	checkLeaks(t)
	edits, seed := 150, uint64(time.Now().UnixNano())
	if os.Getenv("HEADGATE_FULL") != "" {
		edits = 1000
	}
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	g := start(t, map[string]string{"steady.hcl": "locals {\n  suffix = \"x\"\n}\nroute \"steady\" {\n  path = \"/steady\"\n  respond {\n    body = \"steady\"\n  }\n}\n"})

	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	var requests atomic.Int64
	for range 3 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				res, err := client.Get(g.base + "/steady")
				if err != nil {
					t.Errorf("request lost: %v", err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 || string(b) != "steady" {
					t.Errorf("request harmed: %v %d %q", err, res.StatusCode, b)
					return
				}
				requests.Add(1)
			}
		})
	}

	files, inForce := map[string]part{}, map[string]part{}
	suffix, suffixInForce := "x", "x"
	refused := 0
	for n := 1; n <= edits; n++ {
		name := fmt.Sprintf("r%d", random.IntN(12))
		kind, mend := random.IntN(12), false
		for _, b := range slices.Sorted(maps.Keys(files)) {
			if files[b].broken && random.IntN(3) > 0 { // most get mended, or little would be taken
				name, kind, mend = b, 2, true
			}
		}
		switch {
		case kind == 0:
			if err := os.Remove(filepath.Join(g.dir, name+".hcl")); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			delete(files, name)
		case kind == 1:
			suffix = fmt.Sprintf("s%d", n)
			g.write("steady.hcl", "locals {\n  suffix = \""+suffix+"\"\n}\nroute \"steady\" {\n  path = \"/steady\"\n  respond {\n    body = \"steady\"\n  }\n}\n")
		default:
			p := part{n, !mend && random.IntN(3) == 0}
			files[name] = p
			g.write(name+".hcl", p.text(name, random))
			// Old files are taken over by the next load, if nothing changed.
			g.old(name+".hcl", time.Hour-time.Duration(n)*time.Second)
		}
		broken := slices.ContainsFunc(slices.Collect(maps.Values(files)), func(p part) bool { return p.broken })
		err := g.g.Reload(context.Background())
		if (err != nil) != broken {
			t.Fatalf("edit %d: broken %v, and the reload says %v", n, broken, err)
		}
		if broken {
			refused++
		} else {
			inForce, suffixInForce = maps.Clone(files), suffix
		}
		for i := range 12 {
			name := fmt.Sprintf("r%d", i)
			status, _, body := g.get("/" + name)
			want, there := inForce[name]
			if text := fmt.Sprintf("%s %s %d", name, suffixInForce, want.version); there && (status != 200 || body != text) || !there && status != 404 {
				t.Fatalf("edit %d: %s answers %d %q, want %q (%v)", n, name, status, body, text, there)
			}
		}
	}
	t.Logf("%d edits, %d of them refused, %d requests", edits, refused, requests.Load())
	if refused == 0 || refused == edits || requests.Load() == 0 {
		t.Error("the test shows nothing")
	}
}
