// Command pack writes the SDKs into one archive, without their tests and examples
// and without the time of day, so that the same sources make the same bytes.
package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "pack: pack ARCHIVE FOLDER SDK...")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(archive, folder string, sdks []string) error {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	from := os.DirFS(folder)
	for _, sdk := range sdks {
		err := fs.WalkDir(from, sdk, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && left(d.Name()):
				return fs.SkipDir
			case d.IsDir() || strings.HasSuffix(name, "_test.go") || path.Ext(name) == ".wasm":
				return nil
			}
			text, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
			if err == nil {
				_, err = w.Write(text)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, b.Bytes(), 0o644)
}

// left are folders that a plugin does not need.
func left(name string) bool {
	return slices.Contains([]string{"examples", "example", "conformance", "benchguest", "testdata", "target", "node_modules"}, name)
}
