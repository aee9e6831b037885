package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// writePID puts the number of this process into a file, whole at any moment, in
// place of that of the process before it.
func writePID(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if e := f.Chmod(0o644); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// removePID removes the file unless it names another process by now.
func removePID(path string) {
	if path == "" {
		return
	}
	if p, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(p)) == strconv.Itoa(os.Getpid()) {
		os.Remove(path)
	}
}
