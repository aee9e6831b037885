package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxModule bounds a module, and what it is packed in.
	maxModule = 256 << 20
	// maxDocument bounds a manifest, an index and a signed statement.
	maxDocument = 4 << 20
	// patience bounds the time to get one module.
	patience = time.Minute
)

// Options configure a Store.
type Options struct {
	// Dir keeps modules and the lock file, lock.json; "" keeps them in memory.
	Dir string
	// Client sends the requests; nil: http.DefaultClient.
	Client *http.Client
	// Offline has nothing but what is kept.
	Offline bool
}

// ErrOffline means that a module is not kept, and may not be got.
var ErrOffline = errors.New("it is not kept on this machine")

// Store gets modules and keeps them by digest. It is safe for concurrent use.
type Store struct {
	dir     string
	client  *http.Client
	offline bool

	mu     sync.Mutex
	lock   map[string]entry  // by Ref.Text
	memory map[string][]byte // by digest, without a directory
}

// entry is what a name stood for.
type entry struct {
	// Image is the digest of what the name resolved to, Manifest that of the
	// image for this platform, if the former is an index.
	Image      string      `json:"image,omitempty"`
	Manifest   string      `json:"manifest,omitempty"`
	Module     string      `json:"module"` // SHA-256
	Signatures []signature `json:"signatures,omitempty"`
}

// lockFile is the form of lock.json.
type lockFile struct {
	Version int              `json:"version"`
	Modules map[string]entry `json:"modules"`
}

// New makes a store. What it kept before is read when it is needed.
func New(o Options) *Store {
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	return &Store{dir: o.Dir, client: o.Client, offline: o.Offline, lock: map[string]entry{}, memory: map[string][]byte{}}
}

// Module returns the module of r. It is taken from the store if it is there;
// else it is got, which takes a minute at most. A tag is resolved once and then
// stands for the same image until Update.
func (s *Store) Module(ctx context.Context, r Ref) ([]byte, error) {
	e, known := s.locked(r.Text)
	if r.url != nil {
		e, known = entry{Module: r.SHA256}, true
	}
	if known && (r.Key == nil || r.Key.verifies(e.Signatures, e.Image, e.Manifest)) {
		if wasm, err := s.blob(e.Module); err == nil {
			return wasm, r.check(e.Module)
		}
	}
	if s.offline {
		return nil, ErrOffline
	}
	pinned := ""
	if known {
		pinned = e.Image
	}
	return s.get(ctx, r, pinned)
}

// Update gets what r stands for now, and reports whether that is something else
// than before.
func (s *Store) Update(ctx context.Context, r Ref) (changed bool, err error) {
	before, _ := s.locked(r.Text)
	if _, err := s.get(ctx, r, ""); err != nil {
		return false, err
	}
	after, _ := s.locked(r.Text)
	return before.Module != after.Module, nil
}

// check compares the digest of a module with what the configuration wants.
func (r *Ref) check(sum string) error {
	if r.SHA256 != "" && sum != r.SHA256 {
		return fmt.Errorf("the SHA-256 of the module is %s, not %s", sum, r.SHA256)
	}
	return nil
}

// get asks the network; pinned is the digest that an image must have, or "".
func (s *Store) get(ctx context.Context, r Ref, pinned string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wasm []byte
	var e entry
	var err error
	if r.url != nil {
		wasm, err = s.download(ctx, r.Text)
	} else {
		wasm, e, err = s.pull(ctx, r, pinned)
	}
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(wasm, magic) {
		return nil, errors.New("what it holds is not a WebAssembly module")
	}
	sum := sha256.Sum256(wasm)
	e.Module = hex.EncodeToString(sum[:])
	if err := r.check(e.Module); err != nil {
		return nil, err
	}
	return wasm, s.keep(r, e, wasm)
}

// magic is how a WebAssembly module begins, with its version.
var magic = []byte("\x00asm\x01\x00\x00\x00")

func (s *Store) download(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", res.Status)
	}
	return readMost(res.Body, maxModule)
}

const userAgent = "headgate"

// readMost reads all of r, and fails if that is more than most bytes.
func readMost(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return b, err
}

// locked returns what a name stands for.
func (s *Store) locked(name string) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		s.readLock()
	}
	e, ok := s.lock[name]
	return e, ok
}

// readLock takes over what the lock file says, which another process may have
// changed. One that can't be read says nothing: at the worst, modules are got
// again. s.mu is held.
func (s *Store) readLock() {
	b, err := os.ReadFile(filepath.Join(s.dir, "lock.json"))
	var f lockFile
	if err != nil || json.Unmarshal(b, &f) != nil || f.Version != 1 {
		return
	}
	for name, e := range f.Modules {
		s.lock[name] = e
	}
}

// blob returns a kept module.
func (s *Store) blob(sum string) ([]byte, error) {
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return nil, errors.New("not a digest")
	}
	if s.dir == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if b, ok := s.memory[sum]; ok {
			return b, nil
		}
		return nil, os.ErrNotExist
	}
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readMost(f, maxModule)
	if err != nil {
		return nil, err
	}
	if have := sha256.Sum256(b); hex.EncodeToString(have[:]) != sum {
		return nil, errors.New("the file was changed")
	}
	return b, nil
}

func (s *Store) path(sum string) string { return filepath.Join(s.dir, "sha256", sum) }

// keep stores a module, and then what its name stands for.
func (s *Store) keep(r Ref, e entry, wasm []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		s.memory[e.Module] = wasm
	} else if err := replace(s.path(e.Module), wasm); err != nil {
		return fmt.Errorf("keeping the module: %w", err)
	}
	if r.url != nil {
		return nil // its digest is in the configuration
	}
	if s.dir == "" {
		s.lock[r.Text] = e
		return nil
	}
	s.readLock()
	s.lock[r.Text] = e
	text, err := json.MarshalIndent(lockFile{Version: 1, Modules: s.lock}, "", "  ")
	if err == nil {
		err = replace(filepath.Join(s.dir, "lock.json"), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keeping the lock file: %w", err)
	}
	return nil
}

// replace writes a file so that nobody ever sees a part of it.
func replace(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
