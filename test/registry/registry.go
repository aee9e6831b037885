// Package registry runs docker's registry for tests and puts images into it. It
// knows nothing of the gateway.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote"

	"github.com/headgate/headgate/test/need"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Server is a registry on loopback.
type Server struct {
	Addr string // host:port
	// Stop ends the registry, which the end of the test does otherwise.
	Stop func()
}

// Start starts a registry.
func Start(t testing.TB) *Server {
	t.Helper()
	program := need.Program(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", filepath.Join(dir, "data"), addr)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", conf)
	cmd.Env = []string{"OTEL_TRACES_EXPORTER=none", "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Server{addr, sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})}
	t.Cleanup(s.Stop)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		res, err := client.Get("http://" + addr + "/v2/")
		if err == nil {
			res.Body.Close()
			return s
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal(err)
		}
	}
}

// Blob is a layer or a configuration to push.
type Blob struct {
	MediaType   string
	Data        []byte
	Annotations map[string]string
}

// Push stores an image under a tag and returns what describes it.
func (s *Server) Push(t testing.TB, repository, tag, manifestType string, config Blob, layers ...Blob) ocispec.Descriptor {
	t.Helper()
	repo := s.repository(t, repository)
	put := func(b Blob) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: b.MediaType, Digest: digest.FromBytes(b.Data), Size: int64(len(b.Data)), Annotations: b.Annotations}
		if err := repo.Push(context.Background(), d, bytes.NewReader(b.Data)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	m := ocispec.Manifest{MediaType: manifestType, Config: put(config)}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, put(l))
	}
	return s.Tag(t, repository, tag, manifestType, m)
}

// Tag stores a manifest or an index under a tag.
func (s *Server) Tag(t testing.TB, repository, tag, mediaType string, document any) ocispec.Descriptor {
	t.Helper()
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if err := s.repository(t, repository).PushReference(context.Background(), d, bytes.NewReader(b), tag); err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *Server) repository(t testing.TB, name string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(s.Addr + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	return repo
}
