package upstream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseEndpoints(t *testing.T) {
	for _, test := range []struct{ text, want, problem string }{
		{`[]`, "", ""},
		{`[{"address": "10.0.0.1:80"}, {"address": "[::1]:81", "weight": 3, "labels": {"zone": "a"}}]`, "10.0.0.1:80 [::1]:81", ""},
		{`[{"address": "unix:/run/a.sock"}]`, "unix:/run/a.sock", ""},
		{``, "", "1:1: the list ends early"},
		{"[\n{\"address\": \"a:1\"},\n", "", "3:1: the list ends early"},
		{"{}", "", "not a list"},
		{"[{\"address\": \"a\"}]", "", `"a" is not host:port`},
		{"[\n {\"adress\": \"a:1\"}]", "", `2:19: json: unknown field "adress"`},
		{`[{"address": "a:1", "weight": 0}]`, "", "weight is 0"},
		{`[{"address": 1}]`, "", "cannot unmarshal number"},
		{`[] []`, "", "follows the list"},
		{"[" + strings.Repeat(`{"address":"a:1"},`, MaxDiscovered) + `{"address":"a:1"}]`, "", "more than 10000"},
	} {
		list, err := parseEndpoints([]byte(test.text))
		var got []string
		for _, e := range list {
			got = append(got, e.Address)
		}
		switch {
		case test.problem == "" && (err != nil || strings.Join(got, " ") != test.want):
			t.Errorf("%.60s: got %q and %v", test.text, got, err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
			t.Errorf("%.60s: the error is %v, not %q", test.text, err, test.problem)
		}
	}
}

func FuzzParseEndpoints(f *testing.F) {
	f.Add([]byte(`[{"address": "[::1]:81", "weight": 3, "labels": {"zone": "a"}}]`))
	f.Add([]byte("[\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseEndpoints(data)
		if err == nil && len(list) > MaxDiscovered {
			t.Error("too many endpoints")
		}
		for _, e := range list {
			if e.Weight < 1 || checkAddress(e.Address) != nil {
				t.Errorf("%+v was accepted", e)
			}
		}
	})
}

// TestFileChanges writes a file in place, breaks it, renames another over it and
// swaps the target of a link.
func TestFileChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "endpoints.json")
		write := func(name, text string) string {
			t.Helper()
			name = filepath.Join(dir, name)
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		over := func(name string) {
			t.Helper()
			if err := os.Rename(name, path); err != nil {
				t.Fatal(err)
			}
		}
		write("endpoints.json", `[{"address": "a:1"}]`)
		r := NewRegistry(nil)
		defer r.Close()
		c := r.Cluster(Config{Name: "a", Discovery: &Discovery{File: path}})
		defer c.Close()
		r.Await(t.Context())
		expect := func(want string, problem string) {
			t.Helper()
			time.Sleep(2 * fileEvery)
			synctest.Wait()
			if got := c.addresses(); got != want {
				t.Errorf("endpoints are %q, not %q", got, want)
			}
			if got := r.Snapshot()[0].Discovery.Error; !strings.Contains(got, problem) || problem == "" && got != "" {
				t.Errorf("the error is %q, not %q", got, problem)
			}
		}
		expect("a:1", "")
		write("endpoints.json", `[{"address": "b:1"}, {"address": "a:1"}]`)
		expect("b:1 a:1", "")
		write("endpoints.json", `[{"address": "b:1"}, `)
		expect("b:1 a:1", "endpoints.json:1:22: the list ends early")
		over(write("new", `[{"address": "c:1"}]`))
		expect("c:1", "")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("c:1", "no such file")
		for _, name := range []string{"v1", "v2"} {
			target := write(name, `[{"address": "`+name+`:1"}]`)
			link := filepath.Join(dir, "link")
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			over(link)
			expect(name+":1", "")
		}
		write("v2", strings.Repeat(" ", maxFile+1))
		expect("v2:1", "more than")
	})
}
