package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// demoOutput is a buffer that a command writes to while a test reads it.
type demoOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *demoOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *demoOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestDemoRunsUntilItIsStopped(t *testing.T) {
	hints := filepath.Join(t.TempDir(), "TRY.txt")
	if err := os.WriteFile(hints, []byte("curl something\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout, stderr demoOutput
	done := make(chan int, 1)
	go func() {
		done <- runDemo(ctx, []string{"-orders", "127.0.0.1:0", "-users=127.0.0.1:0", "-stock", "127.0.0.1:0", "-try", hints}, &stdout, &stderr)
	}()
	url := regexp.MustCompile(`http://\S+/users`)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(stdout.String(), "curl something"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stdout %q, stderr %q", stdout.String(), stderr.String())
		}
	}
	res, err := http.Get(url.FindString(stdout.String()))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	cancel()
	select {
	case code := <-done:
		if code != 0 {
			t.Errorf("exit %d: %s", code, stderr.String())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop")
	}
}

func TestDemoUsage(t *testing.T) {
	for _, tt := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-h"}, 0, "headgate demo -orders", ""},
		{[]string{"-nope"}, 2, "", "nope"},
		{[]string{"extra"}, 2, "", `"extra" is too much`},
		{[]string{"-try", "no/such/file"}, 1, "", "no/such/file"},
		{[]string{"-orders", "127.0.0.1:99999"}, 3, "", "the orders backend"},
	} {
		var stdout, stderr demoOutput
		if code := runDemo(context.Background(), tt.args, &stdout, &stderr); code != tt.code {
			t.Errorf("%v: exit %d", tt.args, code)
		}
		if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.String() != "" {
			t.Errorf("%v: stdout %q, stderr %q", tt.args, stdout.String(), stderr.String())
		}
	}
}
