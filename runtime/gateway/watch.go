package gateway

import (
	"context"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The time between a change and the reload: quiet is how long nothing must
// happen, so that an editor's or a deployment's burst is one reload; patience
// bounds the wait when changes never stop. againTime is between two tries to read
// files while there are no descriptors.
const (
	quiet     = 100 * time.Millisecond
	patience  = 500 * time.Millisecond
	againTime = time.Second
)

// watcher tells when any of a set of files and directories changed.
type watcher struct {
	fs *fsnotify.Watcher
	view
}

// view is what a configuration was read from: the paths, and a fingerprint taken
// before they were read, so that no change after it goes unseen.
type view struct {
	paths []string
	// apart are files that may be below paths, and whose changes are none of the
	// configuration.
	apart map[string]bool
	seen  uint64
	again bool // it could not be read for want of descriptors
}

func look(paths []string, apart map[string]bool) view {
	seen, whole := fingerprint(paths, apart)
	return view{paths: paths, apart: apart, seen: seen, again: !whole}
}

// afresh looks at the same paths again.
func (v view) afresh() view { return look(v.paths, v.apart) }

func newWatcher(v view) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &watcher{fs: w, view: v}, nil
}

// arm watches the directories that exist now. Those that are watched already
// are watched again: one that was removed and made anew has the same name only.
func (w *watcher) arm() {
	dirs := map[string]bool{}
	for _, p := range w.paths {
		// Up to the first parent that exists, so that the path itself may go and
		// come back.
		for d := filepath.Dir(p); !dirs[d]; d = filepath.Dir(d) {
			if _, err := os.Stat(d); err == nil {
				dirs[d] = true
			}
		}
		_ = walk(p, func(path string, d fs.FileInfo) {
			if d.IsDir() {
				dirs[path] = true
			}
		})
	}
	for _, d := range w.fs.WatchList() {
		if !dirs[d] {
			_ = w.fs.Remove(d)
		}
	}
	for d := range dirs {
		_ = w.fs.Add(d) // gone meanwhile: its parent reports that
	}
}

// run calls changed after each settled change until ctx ends. changed returns
// what the configuration is from then on.
func (w *watcher) run(ctx context.Context, changed func() view) {
	defer w.fs.Close()
	timer := time.NewTimer(0) // something may have changed before we watched
	var first time.Time       // of the burst; zero: none
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if w.apart[filepath.Clean(e.Name)] {
				continue // a log, as often as requests come
			}
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			timer.Reset(min(quiet, max(0, patience-now.Sub(first))))
		case <-w.fs.Errors: // an overflow lost events: look for ourselves
			timer.Reset(quiet)
		case <-timer.C:
			first = time.Time{}
			// Directories may be new, or the same names again: watch what is there
			// now, before looking at it.
			w.arm()
			// An editor's temporary file, or a read: nothing of ours changed.
			now := w.afresh()
			if !w.again && now.seen == w.seen {
				continue
			}
			if !now.again {
				w.view = changed()
				now.again = w.again
			}
			if now.again {
				timer.Reset(againTime)
				continue
			}
			timer.Reset(quiet) // what is named anew is watched then
		}
	}
}

// starved reports whether err is a want of descriptors. Diagnostics keep only the
// text of their causes.
func starved(err error) bool {
	return err != nil && (strings.Contains(err.Error(), syscall.EMFILE.Error()) || strings.Contains(err.Error(), syscall.ENFILE.Error()))
}

// fingerprint condenses names, sizes, times and identities of all files below
// paths but those that are apart. It is not whole if there were no descriptors to look into directories.
func fingerprint(paths []string, apart map[string]bool) (sum uint64, whole bool) {
	h := fnv.New64a()
	whole = true
	for _, p := range paths {
		err := walk(p, func(path string, d fs.FileInfo) {
			if d.IsDir() || apart[path] {
				return
			}
			var b []byte
			b = append(b, path...)
			b = append(b, 0)
			b = d.ModTime().AppendFormat(b, time.RFC3339Nano)
			for n := d.Size(); n > 0; n >>= 8 {
				b = append(b, byte(n))
			}
			_, _ = h.Write(append(b, 0))
		})
		whole = whole && !starved(err)
	}
	return h.Sum64(), whole
}

// walk visits path and, if it is a directory, what is below it, following
// symbolic links as the loader does and skipping hidden names. It returns the
// last error of reading a directory.
func walk(path string, visit func(path string, d fs.FileInfo)) error {
	return walkDepth(path, visit, 0)
}

// maxDepth ends loops of symbolic links.
const maxDepth = 16

func walkDepth(path string, visit func(string, fs.FileInfo), depth int) error {
	d, err := os.Stat(path)
	if err != nil || depth > maxDepth {
		return nil
	}
	visit(path, d)
	if !d.IsDir() {
		return nil
	}
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, ".") && !strings.HasPrefix(n, "_") && !strings.HasSuffix(n, "~") {
			if e := walkDepth(filepath.Join(path, n), visit, depth+1); e != nil {
				err = e
			}
		}
	}
	return err
}
