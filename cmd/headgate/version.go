package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

const versionUsage = `
Tell what this program is: its version, the revision it was built from, the Go
version and the platform.

  headgate version
  headgate version -o json
`

// about is what version prints with -o json.
type about struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func runVersion(args []string, s streams) int {
	f := newFlags("version", versionUsage)
	format := f.format()
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) > 0:
		return f.misuse(s, "it takes no arguments; %q is too much", rest[0])
	case !knownFormat(*format):
		return f.misuse(s, "there is no output format %q; write text or json", *format)
	}
	a := about{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		a.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				a.Revision = s.Value
			case "vcs.modified":
				a.Modified = s.Value == "true"
			}
		}
	}
	if *format == "json" {
		return writeJSON(s.out, a)
	}
	fmt.Fprintf(s.out, "headgate %s %s %s\n", a.Version, a.Go, a.Platform)
	return exitOK
}
