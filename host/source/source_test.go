package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// wasm returns an empty module with a custom section that holds name.
func wasm(name string) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00\x00"), append([]byte{byte(len(name) + 1), 0}, name...)...)
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"https://example.com/geo.wasm", ""},
		{"oci://registry.example.com/filters/geo", ""},
		{"oci://127.0.0.1:5000/geo:v1", ""},
		{"oci://registry.example.com/geo@sha256:" + strings.Repeat("a", 64), ""},
		{"oci://registry.example.com/geo:v1@sha256:" + strings.Repeat("a", 64), ""},
		{"oci://geo", "not the name of an image"},
		{"oci://registry.example.com/geo@sha256:12", "not the name of an image"},
		{"oci://registry.example.com/Geo:v1", "not the name of an image"},
		{"https://user:pw@example.com/geo.wasm", "password"},
		{"https:///geo.wasm", "not a URL"},
		{"http://example.com/geo.wasm", "not from http://"},
		{"ftp://example.com/geo.wasm", "not from ftp://"},
	} {
		_, err := Parse(c.text)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.err)
		}
	}
}

func TestURL(t *testing.T) {
	module := wasm("from a URL")
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.URL.Path != "/geo.wasm" {
			http.NotFound(w, r)
			return
		}
		w.Write(module)
	}))
	defer server.Close()
	o := Options{Dir: t.TempDir(), Client: server.Client()}
	ref := func(path, digest string) Ref {
		r, err := Parse(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		r.SHA256 = digest
		return r
	}
	for _, c := range []struct{ path, digest, err string }{
		{"/none.wasm", sum(module), "404"},
		{"/geo.wasm", strings.Repeat("0", 64), "the SHA-256 of the module is " + sum(module)},
		{"/geo.wasm", sum(module), ""},
	} {
		got, err := New(o).Module(t.Context(), ref(c.path, c.digest))
		if c.err == "" && (err != nil || !bytes.Equal(got, module)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.path, err, c.err)
		}
	}
	if asked != 3 {
		t.Errorf("the server was asked %d times", asked)
	}
	server.Close()
	if got, err := New(o).Module(t.Context(), ref("/geo.wasm", sum(module))); err != nil || !bytes.Equal(got, module) {
		t.Errorf("without a network: %v", err)
	}
	// A file that was tampered with is not taken.
	if err := os.WriteFile(filepath.Join(o.Dir, "sha256", sum(module)), wasm("else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o).Module(t.Context(), ref("/geo.wasm", sum(module))); err == nil {
		t.Error("a changed file was taken")
	}
}

// registryServer is a registry and the test that asks it.
type registryServer struct {
	t *testing.T
	*registry.Server
}

func startRegistry(t *testing.T) *registryServer { return &registryServer{t, registry.Start(t)} }

func (r *registryServer) of(t *testing.T) *registryServer { return &registryServer{t, r.Server} }

// blob is a registry.Blob.
type blob struct {
	mediaType string
	data      []byte
	notes     map[string]string
}

func (r *registryServer) push(repository, tag, manifestType string, config blob, layers ...blob) ocispec.Descriptor {
	r.t.Helper()
	var list []registry.Blob
	for _, l := range layers {
		list = append(list, registry.Blob{MediaType: l.mediaType, Data: l.data, Annotations: l.notes})
	}
	return r.Push(r.t, repository, tag, manifestType, registry.Blob{MediaType: config.mediaType, Data: config.data, Annotations: config.notes}, list...)
}

func (r *registryServer) ref(name string) Ref {
	r.t.Helper()
	ref, err := Parse("oci://" + r.Addr + "/" + name)
	if err != nil {
		r.t.Fatal(err)
	}
	return ref
}

// archive makes a tar of files by name, compressed.
func archive(t *testing.T, files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

const (
	ociImage   = ocispec.MediaTypeImageManifest
	ociTar     = "application/vnd.oci.image.layer.v1.tar+gzip"
	dockerTar  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	envoyLayer = "application/vnd.module.wasm.content.layer.v1+wasm"
)

var (
	ociConfig    = blob{"application/vnd.oci.image.config.v1+json", []byte("{}"), nil}
	dockerConfig = blob{"application/vnd.docker.container.image.v1+json", []byte("{}"), nil}
	envoyConfig  = blob{"application/vnd.module.wasm.config.v1+json", []byte(`{"type":"envoy_proxy"}`), nil}
)

// TestLayouts pulls an image of each form that filters are published in.
func TestLayouts(t *testing.T) {
	r := startRegistry(t)
	module := wasm("a filter")
	text := string(module)
	for _, c := range []struct {
		name, manifest string
		config         blob
		layers         []blob
		err            string
	}{
		{"envoy-artifact", ociImage, envoyConfig, []blob{{envoyLayer, module, nil}}, ""},
		{"wasm-to-oci", ociImage, blob{"application/vnd.wasm.config.v1+json", []byte("{}"), nil}, []blob{{"application/vnd.wasm.content.layer.v1+wasm", module, nil}}, ""},
		{"cncf-artifact", ociImage, blob{"application/vnd.wasm.config.v0+json", []byte("{}"), nil}, []blob{{"application/wasm", module, nil}}, ""},
		{"istio-oci", ociImage, ociConfig, []blob{{ociTar, archive(t, "plugin.wasm", text), nil}}, ""},
		{"istio-docker", dockerImage, dockerConfig, []blob{{dockerTar, archive(t, "./plugin.wasm", text), nil}}, ""},
		{"several-layers", dockerImage, dockerConfig, []blob{{dockerTar, archive(t, "plugin.wasm", "old"), nil}, {dockerTar, archive(t, "plugin.wasm", text), nil}, {dockerTar, archive(t, "etc/x", "y"), nil}}, ""},
		{"higress", ociImage, ociConfig, []blob{
			{"application/vnd.module.wasm.spec.v1+yaml", []byte("apiVersion: 1.0.0\n"), nil},
			{"application/vnd.module.wasm.doc.v1+markdown", []byte("# Filter\n"), nil},
			{"application/vnd.module.wasm.doc.v1.en+markdown", []byte("# A filter\n"), nil},
			{ociTar, archive(t, "plugin.wasm", text), nil}}, ""},
		{"another-name", ociImage, ociConfig, []blob{{ociTar, archive(t, "README.md", "x", "app/geo.wasm", text), nil}}, ""},
		{"compressed-artifact", ociImage, envoyConfig, []blob{{envoyLayer, archive(t, "plugin.wasm", text), nil}}, ""},
		{"ambiguous", ociImage, ociConfig, []blob{{ociTar, archive(t, "a.wasm", text, "b.wasm", text), nil}}, "several modules"},
		{"no-module", ociImage, ociConfig, []blob{{ociTar, archive(t, "README.md", "x"), nil}}, "no layer of the image"},
		{"no-layer", ociImage, ociConfig, []blob{}, "has no layer"},
		{"text", ociImage, ociConfig, []blob{{ociTar, archive(t, "plugin.wasm", "hello"), nil}}, "not a WebAssembly module"},
		{"broken-archive", ociImage, ociConfig, []blob{{ociTar, []byte("hello"), nil}}, "neither a module nor an archive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.of(t)
			d := r.push(c.name, "v1", c.manifest, c.config, c.layers...)
			for _, name := range []string{c.name + ":v1", c.name + "@" + d.Digest.String(), c.name + ":v1@" + d.Digest.String()} {
				got, err := New(Options{}).Module(t.Context(), r.ref(name))
				if c.err == "" && (err != nil || !bytes.Equal(got, module)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("%s: %q %v, want %q", name, got, err, c.err)
				}
			}
		})
	}
	t.Run("index", func(t *testing.T) {
		r := r.of(t)
		linux := r.push("index", "linux", ociImage, ociConfig, blob{ociTar, archive(t, "bin/true", "x"), nil})
		filter := r.push("index", "wasm", ociImage, ociConfig, blob{ociTar, archive(t, "plugin.wasm", text), nil})
		linux.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		filter.Platform = &ocispec.Platform{OS: "wasip1", Architecture: "wasm"}
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{linux, filter}}
		index.SchemaVersion = 2
		r.Tag(t, "index", "v1", ocispec.MediaTypeImageIndex, index)
		if got, err := New(Options{}).Module(t.Context(), r.ref("index:v1")); err != nil || !bytes.Equal(got, module) {
			t.Errorf("%q %v", got, err)
		}
	})
}

// TestLock shows what a tag stands for, and when that changes.
func TestLock(t *testing.T) {
	r := startRegistry(t)
	one, two := wasm("one"), wasm("two")
	r.push("geo", "v1", ociImage, envoyConfig, blob{envoyLayer, one, nil})
	o := Options{Dir: t.TempDir()}
	ref := r.ref("geo:v1")
	want := func(what string, module []byte) {
		t.Helper()
		if got, err := New(o).Module(t.Context(), ref); err != nil || !bytes.Equal(got, module) {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
	want("first", one)
	r.push("geo", "v1", ociImage, envoyConfig, blob{envoyLayer, two, nil})
	want("the tag moved", one)
	if err := os.Remove(filepath.Join(o.Dir, "sha256", sum(one))); err != nil {
		t.Fatal(err)
	}
	want("the module was lost", one) // by its digest
	if changed, err := New(o).Update(t.Context(), ref); err != nil || !changed {
		t.Errorf("update: %t %v", changed, err)
	}
	want("updated", two)
	if changed, err := New(o).Update(t.Context(), ref); err != nil || changed {
		t.Errorf("another update: %t %v", changed, err)
	}
	wrong := ref
	wrong.SHA256 = sum(one)
	if _, err := New(o).Module(t.Context(), wrong); err == nil {
		t.Error("another digest than the configured one was taken")
	}
	r.Stop()
	want("without a network", two)
	if _, err := New(Options{Dir: t.TempDir()}).Module(t.Context(), ref); err == nil {
		t.Error("got a module from nowhere")
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "lock.json"), []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o).Module(t.Context(), ref); err == nil {
		t.Error("a broken lock file gave a module")
	}
}

type signer struct {
	public crypto.PublicKey
	sign   func([]byte) []byte
}

func signers(t *testing.T) map[string]signer {
	t.Helper()
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]signer{
		"ecdsa":   {ec.Public(), func(b []byte) []byte { return must(ecdsa.SignASN1(rand.Reader, ec, sum(b))) }},
		"rsa":     {rs.Public(), func(b []byte) []byte { return must(rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, sum(b))) }},
		"ed25519": {edPublic, func(b []byte) []byte { return ed25519.Sign(ed, b) }},
	}
}

func (s signer) key(t *testing.T) *Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.public)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// statementOf is what cosign signs about an image.
func statementOf(d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, d)
}

func TestSignature(t *testing.T) {
	r := startRegistry(t)
	module := wasm("signed")
	all := signers(t)
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			r := r.of(t)
			d := r.push(name, "v1", ociImage, envoyConfig, blob{envoyLayer, module, nil})
			other := r.push(name, "v2", ociImage, envoyConfig, blob{envoyLayer, wasm("other"), nil})
			ref := r.ref(name + ":v1")
			ref.Key = s.key(t)
			o := Options{Dir: t.TempDir()}
			refused := func(what string) {
				t.Helper()
				if _, err := New(o).Module(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "not signed") {
					t.Errorf("%s: %v", what, err)
				}
			}
			sign := func(by signer, payload []byte) {
				t.Helper()
				note := map[string]string{signatureNote: base64.StdEncoding.EncodeToString(by.sign(payload))}
				r.push(name, strings.Replace(d.Digest.String(), ":", "-", 1)+".sig", ociImage, ociConfig, blob{signatureType, payload, note})
			}
			refused("unsigned")
			sign(s, statementOf(other.Digest))
			refused("a signature of another image")
			sign(s, []byte(`{"critical":{"image":{"docker-manifest-digest":"`+d.Digest.String()+`"}}}`))
			refused("a statement of another type")
			for by := range all {
				if by != name {
					sign(all[by], statementOf(d.Digest))
					refused("signed by " + by)
				}
			}
			sign(s, statementOf(d.Digest))
			for range 2 { // from the registry, then from the store
				if got, err := New(o).Module(t.Context(), ref); err != nil || !bytes.Equal(got, module) {
					t.Errorf("%v", err)
				}
			}
			// The store has the module, but of nobody whose key that is.
			for by := range all {
				if by != name {
					ref.Key = all[by].key(t)
					refused("the key of " + by)
				}
			}
		})
	}
}

func TestParseKey(t *testing.T) {
	for _, text := range []string{"", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q is no key", text)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	var tb testing.T
	f.Add(wasm("x"))
	f.Add(archive(&tb, "plugin.wasm", "x"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = unpack(b)
	})
}
