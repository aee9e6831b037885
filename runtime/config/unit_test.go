package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// tree is a configuration directory whose files were written long ago.
type tree struct {
	t   *testing.T
	dir string
	age time.Duration
}

func (d *tree) put(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.age -= time.Second // no two versions of a file have the same time
	then := time.Now().Add(-time.Hour - d.age)
	if err := os.Chtimes(path, then, then); err != nil {
		d.t.Fatal(err)
	}
}

func (d *tree) load(previous *Config) *Config {
	d.t.Helper()
	c, diags := Load(Source{Paths: []string{d.dir}, Previous: previous, Env: func(string) (string, bool) { return "x", true }})
	if diags.HasErrors() {
		d.t.Fatal(diags.Text())
	}
	return c
}

func (c *Config) route(name string) *Route {
	for _, r := range c.Routes {
		if r.Name == name {
			return r
		}
	}
	return nil
}

const (
	baseFile    = "listener \"l\" {\n  address = \":0\"\n}\nlocals {\n  version = \"1\"\n}\nvariable \"v\" {\n  default = \"a\"\n}\n"
	orderFile   = "upstream \"u\" {\n  endpoint \"h:1\" {}\n}\nroute \"orders\" {\n  path     = \"/orders\"\n  upstream = upstream.u\n}\n"
	userFile    = "route \"users\" {\n  path     = \"/users\"\n  upstream = upstream.u\n  rewrite {\n    path = \"/v${local.version}/users\"\n  }\n}\n"
	environFile = "route \"env\" {\n  path = \"/env\"\n  respond {\n    body = env(\"X\")\n  }\n}\n"
)

// TestTakenOver checks that a load takes over what did not change, and nothing
// else.
func TestTakenOver(t *testing.T) {
	d := &tree{t: t, dir: t.TempDir()}
	d.put("base.hcl", baseFile)
	d.put("orders.hcl", orderFile)
	d.put("users.hcl", userFile)
	d.put("env.hcl", environFile)
	before := d.load(nil)
	for _, c := range []struct {
		name         string
		edit         func()
		orders, user bool // taken over
	}{
		{"nothing", func() {}, true, true},
		{"a route", func() { d.put("users.hcl", userFile+"# more\n") }, true, false},
		{"a value that others use", func() { d.put("base.hcl", strings.Replace(baseFile, `"1"`, `"2"`, 1)) }, false, false},
		{"a value that nobody uses", func() { d.put("base.hcl", strings.Replace(baseFile, `"a"`, `"b"`, 1)) }, false, false},
		{"another file of the same values", func() { d.put("base.hcl", strings.Replace(baseFile, `"a"`, `"b"`, 1)+"# more\n") }, true, true},
		{"a file more", func() { d.put("more.hcl", strings.ReplaceAll(userFile, "users", "more")) }, true, true},
		{"a file less", func() { os.Remove(filepath.Join(d.dir, "more.hcl")) }, true, true},
	} {
		after := d.load(before)
		c.edit()
		after = d.load(after)
		if got := after.route("orders") == before.route("orders"); got != c.orders {
			t.Errorf("%s: orders taken over: %v", c.name, got)
		}
		if got := after.route("users") == before.route("users"); got != c.user {
			t.Errorf("%s: users taken over: %v", c.name, got)
		}
		if after.route("env") == before.route("env") {
			t.Errorf("%s: what reads the environment was taken over", c.name)
		}
		if len(after.Routes) != len(after.RouteTable()) || len(after.Watch()) == 0 {
			t.Errorf("%s: %d routes", c.name, len(after.Routes))
		}
		before = after
	}
}

// TestTakenOverIsChecked checks that what was taken over has to fit what is new.
func TestTakenOverIsChecked(t *testing.T) {
	d := &tree{t: t, dir: t.TempDir()}
	d.put("base.hcl", baseFile)
	d.put("orders.hcl", orderFile)
	d.put("users.hcl", userFile)
	before := d.load(nil)
	for _, c := range []struct{ name, file, text, want string }{
		{"a reference that leads nowhere now", "orders.hcl", "upstream \"w\" {\n  endpoint \"h:1\" {}\n}\n", `users.hcl:3:14: error: Unknown upstream`},
		{"a name that is there already", "more.hcl", "route \"users\" {\n  respond {}\n}\n", `Duplicate route`},
		{"a route that can't be told apart", "more.hcl", "route \"x\" {\n  path = \"/users\"\n  respond {}\n}\n", `Conflicting routes`},
		{"for_each where there was none", "orders.hcl", strings.Replace(orderFile, "upstream \"u\" {", "upstream \"u\" {\n  for_each = toset([\"a\"])", 1), `users.hcl:3:14: error: Invalid reference`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.put(c.file, c.text)
			_, diags := Load(Source{Paths: []string{d.dir}, Previous: before})
			if !diags.HasErrors() || !strings.Contains(diags.Text(), c.want) {
				t.Errorf("got %s, want %q", diags.Text(), c.want)
			}
			os.Remove(filepath.Join(d.dir, "more.hcl"))
			d.put("orders.hcl", orderFile)
		})
	}
}

// TestFreshFileIsRead checks that a file that was written just before it was
// read is read again: a second write may have the same time and size.
func TestFreshFileIsRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.hcl")
	write := func(status string) {
		if err := os.WriteFile(name, []byte("route \"r\" {\n  respond {\n    status = "+status+"\n  }\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	write("201")
	if err := os.Chtimes(name, now, now); err != nil {
		t.Fatal(err)
	}
	first, _ := Load(Source{Paths: []string{dir}})
	write("202")
	if err := os.Chtimes(name, now, now); err != nil {
		t.Fatal(err)
	}
	second, _ := Load(Source{Paths: []string{dir}, Previous: first})
	if got := second.route("r").Respond.Status; got != 202 {
		t.Errorf("status %d of a file that changed within its time stamp", got)
	}
}

// TestAncestorsAreLetGo checks that a configuration does not hold those before
// it, whose files it took over.
func TestAncestorsAreLetGo(t *testing.T) {
	d := &tree{t: t, dir: t.TempDir()}
	d.put("base.hcl", baseFile)
	d.put("filter.hcl", "route \"r\" {\n  path = \"/r\"\n  filter \"cors\" {\n    when = request.json[\"a\"] == local.version\n  }\n  respond {}\n}\n")
	gone := make(chan struct{}, 1)
	c := d.load(nil)
	runtime.AddCleanup(c, func(struct{}) { gone <- struct{}{} }, struct{}{})
	for range 3 {
		d.put("more.hcl", "route \"more\" {\n  respond {}\n}\n")
		c = d.load(c)
	}
	for range 10 {
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(c)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Error("the first configuration is still held")
}
