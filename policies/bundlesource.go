package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Times of getting bundles.
const (
	defaultPoll = 30 * time.Second
	// firstBundle is how long the first try may take.
	firstBundle = 10 * time.Second
	bundleSlack = 30 * time.Second // for the transfer, beyond what the server may wait
	bundleAgain = 500 * time.Millisecond
)

// bundlesType is the content type with which a server says that it can wait for a
// new bundle.
const bundlesType = "application/vnd.openpolicyagent.bundles"

// bundleSource gets one bundle, again and again, for the policies that want it.
// A bundle that is broken, or that one of them can't use, changes nothing.
type bundleSource struct {
	spec   BundleSpec
	users  int // guarded by the Store
	client *http.Client
	saved  string // where the last good one is kept; "" for nowhere
	log    *slog.Logger

	start  sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu          sync.Mutex
	current     *activation // nil: none yet
	failure     error       // of the last try
	sum         [sha256.Size]byte
	etag        string
	stale       bool   // current comes from disk
	unsaved     []byte // current, if nobody has used it yet
	subscribers map[*Policy]bool
}

func newBundleSource(spec BundleSpec, o StoreOptions) *bundleSource {
	b := &bundleSource{
		spec: spec, log: o.Log.With("bundle", spec.URL), done: make(chan struct{}), subscribers: map[*Policy]bool{},
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute}},
	}
	if o.Dir != "" && b.remote() {
		sum := sha256.Sum256([]byte(spec.URL))
		b.saved = filepath.Join(o.Dir, hex.EncodeToString(sum[:]))
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

func (b *bundleSource) remote() bool {
	return strings.HasPrefix(b.spec.URL, "http://") || strings.HasPrefix(b.spec.URL, "https://")
}

// subscribe gives p the bundle, now and in the future. Without a bundle it fails
// unless starting is set; with one that p can't use it always does.
func (b *bundleSource) subscribe(ctx context.Context, p *Policy, starting bool) error {
	b.start.Do(func() {
		b.load()
		if b.current == nil {
			first, cancel := context.WithTimeout(ctx, firstBundle)
			_, b.failure = b.get(first, 0)
			cancel()
		}
		go b.run()
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		if err := p.activate(ctx, b.current); err != nil {
			return err
		}
		if b.unsaved != nil {
			b.save(b.unsaved, b.etag)
		}
	} else if !starting || broken(b.failure) {
		return b.failure
	} else {
		b.log.Error("no bundle yet", "error", b.failure.Error())
	}
	b.subscribers[p] = true
	return nil
}

// broken reports whether a failure is that of the bundle, not of the way to it.
func broken(err error) bool {
	var e *Error
	return errors.As(err, &e)
}

func (b *bundleSource) unsubscribe(p *Policy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, p)
}

// activate makes p decide by the bundle.
func (p *Policy) activate(ctx context.Context, a *activation) error {
	g, err := link(ctx, &p.spec, p.sources, a)
	if err != nil {
		return err
	}
	p.program.Store(g)
	return nil
}

// run asks for new bundles until the source is closed.
func (b *bundleSource) run() {
	defer close(b.done)
	defer b.client.CloseIdleConnections()
	again := bundleAgain
	// now: there is no need to pause, since the server waits for a new bundle by
	// itself, or since what came from disk may be old.
	now := b.stale
	for {
		pause := b.spec.Poll
		if pause <= 0 {
			pause = defaultPoll
		}
		b.mu.Lock()
		none, failed := b.current == nil, b.failure != nil
		b.mu.Unlock()
		switch {
		case failed && none:
			pause = min(again, pause)
			again = 2 * pause
		case now && !failed:
			pause = 0
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-b.ctx.Done():
			t.Stop()
			return
		}
		ctx, cancel := context.WithTimeout(b.ctx, b.spec.LongPoll+bundleSlack)
		var err error
		now, err = b.get(ctx, b.spec.LongPoll)
		cancel()
		b.mu.Lock()
		if err != nil && b.ctx.Err() == nil && (b.failure == nil || b.failure.Error() != err.Error()) {
			b.log.Error("no new bundle; what was there stays", "error", err.Error())
		}
		b.failure = err
		b.mu.Unlock()
	}
}

// get asks once for a bundle and activates it if it is new.
func (b *bundleSource) get(ctx context.Context, wait time.Duration) (waits bool, err error) {
	if !b.remote() {
		raw, err := os.ReadFile(strings.TrimPrefix(b.spec.URL, "file://"))
		if err != nil {
			return false, fmt.Errorf("bundle: %w", err)
		}
		return false, b.update(ctx, raw, "")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.spec.URL, nil)
	if err != nil {
		return false, fmt.Errorf("bundle: %w", err)
	}
	if b.spec.Token != "" {
		r.Header.Set("authorization", "Bearer "+b.spec.Token)
	}
	prefer := "modes=snapshot"
	if wait > 0 {
		prefer += ";wait=" + strconv.FormatInt(seconds(wait), 10)
	}
	r.Header.Set("prefer", prefer)
	b.mu.Lock()
	if b.etag != "" {
		r.Header.Set("if-none-match", b.etag)
	}
	b.mu.Unlock()
	a, err := b.client.Do(r)
	if err != nil {
		return false, fmt.Errorf("bundle: %w", err)
	}
	defer a.Body.Close()
	waits = wait > 0 && a.Header.Get("content-type") == bundlesType
	switch a.StatusCode {
	case http.StatusNotModified:
		return waits, nil
	case http.StatusOK:
	default:
		return false, fmt.Errorf("bundle: %s answers with status %d", b.spec.URL, a.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(a.Body, maxBundle+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("bundle: %w", err)
	case len(raw) > maxBundle:
		return false, fmt.Errorf("bundle: it is larger than %d bytes", maxBundle)
	}
	return waits, b.update(ctx, raw, a.Header.Get("etag"))
}

// update activates a bundle with every policy that wants it, and keeps it if all
// of them can use it.
func (b *bundleSource) update(ctx context.Context, raw []byte, etag string) error {
	sum := sha256.Sum256(raw)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil && sum == b.sum {
		b.etag = etag
		return nil
	}
	a, err := b.spec.readBundle(raw, etag)
	if err != nil {
		return err
	}
	// All or nothing: what one policy can't use, none gets.
	made := make(map[*Policy]*program, len(b.subscribers))
	for p := range b.subscribers {
		if made[p], err = link(ctx, &p.spec, p.sources, a); err != nil {
			return fmt.Errorf("policy %s: %w", p.name, err)
		}
	}
	for p, g := range made {
		p.program.Store(g)
	}
	b.current, b.sum, b.etag = a, sum, etag
	b.log.Info("bundle activated", "revision", a.bundle.Manifest.Revision, "bytes", len(raw), "policies", len(made))
	if len(made) > 0 { // else nobody tried it yet
		b.save(raw, etag)
	} else {
		b.unsaved = raw
	}
	return nil
}

// save keeps a bundle that is known to be good. The entity tag is written last:
// without it the bundle is only asked for once more.
func (b *bundleSource) save(raw []byte, etag string) {
	b.unsaved = nil
	if b.saved == "" {
		return
	}
	_ = os.Remove(b.saved + ".etag")
	err := os.MkdirAll(filepath.Dir(b.saved), 0o700)
	if err == nil {
		err = writeFile(b.saved, raw)
	}
	if err == nil && etag != "" {
		err = writeFile(b.saved+".etag", []byte(etag))
	}
	if err != nil {
		b.log.Warn("the bundle can't be kept on disk", "error", err.Error())
	}
}

// writeFile puts a file in place at once.
func writeFile(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".bundle-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// load takes the last good bundle from disk.
func (b *bundleSource) load() {
	if b.saved == "" {
		return
	}
	raw, err := os.ReadFile(b.saved)
	if err != nil {
		return
	}
	etag, _ := os.ReadFile(b.saved + ".etag")
	a, err := b.spec.readBundle(raw, string(etag))
	if err != nil {
		b.log.Warn("the bundle on disk can't be used", "error", err.Error())
		return
	}
	b.current, b.sum, b.etag, b.stale = a, sha256.Sum256(raw), string(etag), true
	b.log.Info("bundle taken from disk", "revision", a.bundle.Manifest.Revision)
}

func (b *bundleSource) close() {
	b.cancel()
	b.start.Do(func() { close(b.done) })
	<-b.done
}
