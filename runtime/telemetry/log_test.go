package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestOutput(t *testing.T) {
	var b bytes.Buffer
	o := NewOutput(&b)
	log := slog.New(o).With("part", "admin").WithGroup("g")
	log.Debug("hidden")
	log.Info("one", "k", "v")
	if got := b.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "part=admin g.k=v") {
		t.Errorf("text: %q", got)
	}
	b.Reset()
	o.Configure("debug", "json") // loggers that exist follow
	log.Debug("two", "k", "v")
	var got struct {
		Msg, Part string
		G         struct{ K string }
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Msg != "two" || got.Part != "admin" || got.G.K != "v" {
		t.Errorf("json: %v %q", err, b.String())
	}
}

func TestBlock(t *testing.T) {
	var b bytes.Buffer
	o := NewOutput(&b)
	o.Block(slog.LevelError, "refused", "diagnostics", "a.hcl:1:1: error\n  here\n")
	if !strings.HasSuffix(b.String(), "\na.hcl:1:1: error\n  here\n") {
		t.Errorf("text: %q", b.String())
	}
	b.Reset()
	o.Configure("info", "json")
	o.Block(slog.LevelError, "refused", "diagnostics", "a\nb")
	if strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), `"diagnostics":"a\nb"`) {
		t.Errorf("json: %q", b.String())
	}
}
