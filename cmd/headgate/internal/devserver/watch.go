package devserver

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pause is between two looks at the sources: short against how long a build takes.
const pause = 250 * time.Millisecond

// Watch calls changed whenever a source below dir changed, until ctx ends. Looking
// at every file again and again works on every file system and needs no limit
// raised; a plugin has few.
func Watch(ctx context.Context, dir string, changed func()) {
	last := look(dir)
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if now := look(dir); now != last {
			last = now
			changed()
		}
	}
}

// stamp sums up the sources: how many, how large, and when the last one changed.
type stamp struct {
	files, bytes int64
	newest       time.Time
}

func look(dir string) (s stamp) {
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it went away
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"target", "node_modules"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !source(d.Name()):
			return nil
		}
		if i, err := d.Info(); err == nil {
			s.files++
			s.bytes += i.Size()
			if i.ModTime().After(s.newest) {
				s.newest = i.ModTime()
			}
		}
		return nil
	})
	return s
}

// source reports whether a file goes into a module.
func source(name string) bool {
	return slices.Contains([]string{".go", ".mod", ".rs", ".toml", ".ts", ".json", ".c", ".h", ".cc", ".cpp", ".hpp", ".zig", ".js"}, filepath.Ext(name))
}
