package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/headgate/headgate/cmd/headgate/internal/scaffold"
)

const pluginNewUsage = `
Make the folder of a plugin: a filter, its configuration, a test that passes. The
last element of NAME is what the plugin is called. The SDK is copied into the
folder; with -sdk the project refers to that of a checkout.

  headgate plugin new hello
  headgate plugin new -lang rust plugins/hello
  headgate plugin new -lang go -sdk ../headgate/sdk hello
`

func runPluginNew(args []string, s streams) int {
	f := newFlags("plugin new", pluginNewUsage)
	language := f.String("lang", "go", "the `language`: "+strings.Join(scaffold.Languages(), ", "))
	sdk := f.String("sdk", "", "the `folder` sdk of a checkout of Headgate")
	rest, code, done := f.parse(args, s)
	switch {
	case done:
		return code
	case len(rest) != 1:
		return f.misuse(s, "name the folder to make, which is the plugin's name")
	}
	made, err := scaffold.New(scaffold.Options{Language: *language, Dir: rest[0], SDK: *sdk})
	if err != nil {
		return refuse(s, "plugin new", err)
	}
	for _, name := range made {
		fmt.Fprintln(s.out, filepath.Join(rest[0], filepath.FromSlash(name)))
	}
	fmt.Fprintf(s.out, "\n  cd %s\n  headgate plugin test\n", rest[0])
	return exitOK
}

// refuse reports that what a command was given can't be used.
func refuse(s streams, command string, err error) int {
	fmt.Fprintf(s.err, "headgate %s: %v\n", command, err)
	return exitInput
}
