package main

import (
	"fmt"
	"io"
	"iter"
	"strings"
)

const completionUsage = `
Print a script that completes headgate's commands and flags in a shell.

  source <(headgate completion bash)
  headgate completion zsh > "${fpath[1]}/_headgate"
  headgate completion fish > ~/.config/fish/completions/headgate.fish
`

func runCompletion(args []string, s streams) int {
	f := newFlags("completion", completionUsage)
	rest, code, done := f.parse(args, s)
	if done {
		return code
	}
	if len(rest) != 1 {
		return f.misuse(s, "name a shell: bash, zsh or fish")
	}
	switch rest[0] {
	case "bash":
		completeBash(s.out)
	case "zsh":
		completeZsh(s.out)
	case "fish":
		completeFish(s.out)
	default:
		return f.misuse(s, "there is no completion for %q; there is for bash, zsh and fish", rest[0])
	}
	return exitOK
}

// flagHelp is a flag as the help of its command shows it.
type flagHelp struct{ name, usage string }

// flagsOf are the flags of a command. A command makes them when it runs, so its
// help is what tells of them: two spaces, the flag, and its usage behind a tab or
// in the next line.
func flagsOf(c command) []flagHelp {
	var list []flagHelp
	var help strings.Builder
	c.run([]string{"-h"}, streams{in: strings.NewReader(""), out: &help, err: io.Discard})
	lines := strings.Split(help.String(), "\n")
	for i, line := range lines {
		rest, ok := strings.CutPrefix(line, "  -")
		if !ok {
			continue
		}
		head, usage, same := strings.Cut(rest, "\t")
		if !same && i+1 < len(lines) {
			usage = lines[i+1]
		}
		list = append(list, flagHelp{strings.Fields(head)[0], strings.TrimSpace(usage)})
	}
	return list
}

func completeBash(w io.Writer) {
	var names []string
	fmt.Fprint(w, "_headgate() {\n  local cur=${COMP_WORDS[COMP_CWORD]}\n  COMPREPLY=()\n  if [ \"$COMP_CWORD\" -gt 1 ] && [ \"${cur#-}\" != \"$cur\" ]; then\n    case ${COMP_WORDS[1]} in\n")
	for _, c := range commands() {
		names = append(names, c.name)
		var list []string
		for _, f := range flagsOf(c) {
			list = append(list, "-"+f.name)
		}
		fmt.Fprintf(w, "      %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", c.name, strings.Join(append(list, "-h"), " "))
	}
	fmt.Fprint(w, "    esac\n  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n    case ${COMP_WORDS[1]} in\n")
	for name, below := range groups() {
		fmt.Fprintf(w, "      %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", name, strings.Join(namesOf(below), " "))
	}
	fmt.Fprintf(w, "    esac\n  elif [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n  fi\n}\ncomplete -o default -F _headgate headgate\n", strings.Join(names, " "))
}

func completeZsh(w io.Writer) {
	fmt.Fprint(w, "#compdef headgate\n_headgate() {\n  local -a commands\n  commands=(\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "    %s\n", shellQuote(c.name+":"+c.short))
	}
	fmt.Fprint(w, "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  if (( CURRENT == 3 )); then\n    case $words[2] in\n")
	for name, below := range groups() {
		fmt.Fprintf(w, "      %s) compadd -- %s; return ;;\n", name, strings.Join(namesOf(below), " "))
	}
	fmt.Fprint(w, "    esac\n  fi\n  case $words[2] in\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "    %s) _arguments", c.name)
		for _, f := range flagsOf(c) {
			fmt.Fprintf(w, " %s", shellQuote("-"+f.name+"["+strings.NewReplacer("[", "(", "]", ")").Replace(f.usage)+"]"))
		}
		fmt.Fprint(w, " '*:file:_files' ;;\n")
	}
	fmt.Fprint(w, "  esac\n}\n_headgate \"$@\"\n")
}

func completeFish(w io.Writer) {
	for name, below := range groups() {
		for _, c := range below {
			fmt.Fprintf(w, "complete -c headgate -n '__fish_seen_subcommand_from %s' -f -a %s -d %s\n", name, c.name, shellQuote(c.short))
		}
	}
	for _, c := range commands() {
		fmt.Fprintf(w, "complete -c headgate -n __fish_use_subcommand -f -a %s -d %s\n", c.name, shellQuote(c.short))
		for _, f := range flagsOf(c) {
			fmt.Fprintf(w, "complete -c headgate -n '__fish_seen_subcommand_from %s' -o %s -d %s\n", c.name, f.name, shellQuote(f.usage))
		}
	}
}

// groups are the commands that have commands below them.
func groups() iter.Seq2[string, []command] {
	return func(yield func(string, []command) bool) {
		_ = yield("plugin", pluginCommands()) && yield("policy", policyCommands())
	}
}

func namesOf(list []command) (names []string) {
	for _, c := range list {
		names = append(names, c.name)
	}
	return names
}

// shellQuote quotes s for the shells.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
