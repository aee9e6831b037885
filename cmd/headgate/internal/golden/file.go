package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// The parts of a file. What stands before the first request holds for all of
// them; every request begins an exchange of its own.
const (
	partPlugin  = "plugin.json"
	partConfig  = "config.json"
	partState   = "state"   // state NAMESPACE KEY: a value that is there
	partFetch   = "fetch"   // fetch METHOD URL: the answer to a request of the plugin's
	partClock   = "clock"   // the time of day, RFC 3339; it stands still
	partRequest = "request" // what the client sends
	partAnswer  = "answer"  // what the backend answers

	partRefused  = "refused"  // why the plugin refuses config.json
	partVerdict  = "verdict"  // what the plugin decided
	partUpstream = "upstream" // the request as the backend gets it
	partFetched  = "fetched"  // the requests of the plugin's own
	partResponse = "response" // the response as the client gets it
	partLog      = "log"      // what the plugin logged; compared if it is there
	partKept     = "kept"     // kept NAMESPACE KEY: a value afterwards
)

// Plugin is what plugin.json says: the plugin block of a configuration. Limits
// that it leaves out are the gateway's defaults.
type Plugin struct {
	Filter      string   `json:"filter"`
	VMConfig    string   `json:"vm_config"`
	Concurrency int      `json:"concurrency"`
	Env         []string `json:"env"` // NAME=value
	Allow       struct {
		// Fetch are upstream://NAME and origins.
		Fetch   []string `json:"fetch"`
		State   []string `json:"state"`
		Auth    bool     `json:"auth"`
		Call    []string `json:"call"`
		Headers struct {
			Read  []string `json:"read"`
			Write []string `json:"write"`
		} `json:"headers"`
	} `json:"allow"`
	Limits struct {
		Memory   int64    `json:"memory"` // bytes
		CPU      duration `json:"cpu"`
		Deadline duration `json:"deadline"`
		// Buffer bounds the bodies that a plugin wants whole, in bytes; 1 MiB.
		Buffer int64 `json:"buffer"`
	} `json:"limits"`
}

type duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *duration) UnmarshalJSON(p []byte) error {
	var s string
	if json.Unmarshal(p, &s) != nil {
		return errors.New(`a duration is a string such as "250ms"`)
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// File is one file of exchanges.
type File struct {
	Name string

	archive   *txtar.Archive
	plugin    Plugin
	config    []byte
	clock     time.Time
	state     []entry
	answers   []mock
	exchanges []*scene
}

// scene is one exchange.
type scene struct {
	part    int // of the archive where it begins
	clock   time.Time
	request message
	answer  message
	answers []mock
	kept    []entry // values to look at afterwards
	log     bool    // the log is looked at
}

type entry struct{ namespace, key, value string }

// mock is the answer to one request of the plugin's.
type mock struct {
	method, url string
	answer      message
	failure     string // timeout, failed or large instead of an answer
}

// start is the time of day unless a file says another.
func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// Parse reads a file. An error names the part that is wrong.
func Parse(name string, text []byte) (*File, error) {
	f := &File{Name: name, archive: txtar.Parse(text), clock: start()}
	for _, list := range []*[]string{&f.plugin.Allow.Headers.Read, &f.plugin.Allow.Headers.Write} {
		*list = []string{"*"}
	}
	for i, part := range f.archive.Files {
		if err := f.part(i, part); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, part.Name, err)
		}
	}
	if len(f.exchanges) == 0 && !f.refuses() {
		return nil, fmt.Errorf("%s: there is no %q and no %q part", name, partRequest, partRefused)
	}
	return f, nil
}

func (f *File) part(i int, part txtar.File) (err error) {
	words := strings.Fields(part.Name)
	if len(words) == 0 {
		return errors.New("a part needs a name")
	}
	kind, names := words[0], words[1:]
	data := string(part.Data)
	switch kind {
	case partFetch, partState, partKept:
		if len(names) != 2 {
			return errors.New("write fetch METHOD URL, state NAMESPACE KEY or kept NAMESPACE KEY")
		}
	default:
		if len(names) > 0 {
			return errors.New("the name of this part is one word")
		}
	}
	switch kind {
	case partPlugin:
		return f.settings(part.Data)
	case partConfig:
		f.config = bytes.TrimSpace(part.Data)
	case partClock:
		return f.setClock(strings.TrimSpace(data))
	case partState:
		f.state = append(f.state, entry{names[0], names[1], strings.TrimSuffix(data, "\n")})
	case partFetch:
		return f.fetch(names[0], names[1], data)
	case partRequest:
		s := &scene{part: i, clock: f.clock, answer: message{start: "200"}}
		if s.request, err = parseMessage(data); err == nil {
			_, _, err = s.request.request()
		}
		f.exchanges = append(f.exchanges, s)
		return err
	case partRefused:
	case partAnswer, partVerdict, partUpstream, partFetched, partResponse, partLog, partKept:
		return f.detail(kind, names, data)
	default:
		return fmt.Errorf("there is no such part; known are %s", strings.Join(parts(), ", "))
	}
	return nil
}

func parts() []string {
	return append(slices.Clone(inputs()), outputs()...)
}

func inputs() []string {
	return []string{partPlugin, partConfig, partClock, partState, partFetch, partRequest, partAnswer}
}

func outputs() []string {
	return []string{partRefused, partVerdict, partFetched, partUpstream, partResponse, partKept, partLog}
}

// detail is a part that belongs to the request before it.
func (f *File) detail(kind string, names []string, data string) (err error) {
	s := f.last()
	if s == nil {
		return errors.New("it must come after a request")
	}
	switch kind {
	case partAnswer:
		if s.answer, err = parseMessage(data); err == nil {
			_, err = s.answer.status()
		}
	case partKept:
		s.kept = append(s.kept, entry{namespace: names[0], key: names[1]})
	case partLog:
		s.log = true
	}
	return err
}

func (f *File) last() *scene {
	if len(f.exchanges) == 0 {
		return nil
	}
	return f.exchanges[len(f.exchanges)-1]
}

func (f *File) settings(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f.plugin); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the object")
	}
	return nil
}

func (f *File) fetch(method, url, text string) error {
	m := mock{method: method, url: url}
	if failure, ok := strings.CutPrefix(strings.TrimSpace(text), "error "); ok {
		m.failure = failure
		if !slices.Contains([]string{"timeout", "failed", "large"}, failure) {
			return errors.New("write error timeout, error failed or error large, or an answer")
		}
	} else {
		var err error
		if m.answer, err = parseMessage(text); err != nil {
			return err
		}
		if _, err = m.answer.status(); err != nil {
			return err
		}
	}
	if s := f.last(); s != nil {
		s.answers = append(s.answers, m)
	} else {
		f.answers = append(f.answers, m)
	}
	return nil
}

// setClock takes the time from here on: a clock that stands before a request is
// that of the request and all that follow.
func (f *File) setClock(text string) error {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("%q is not a time such as 2026-01-01T00:00:00Z", text)
	}
	f.clock = t
	return nil
}

// started is the time at which the plugin is configured.
func (f *File) started() time.Time {
	if len(f.exchanges) > 0 {
		return f.exchanges[0].clock
	}
	return f.clock
}

// buffer bounds the bodies that the plugin wants whole.
func (f *File) buffer() int64 {
	if f.plugin.Limits.Buffer > 0 {
		return f.plugin.Limits.Buffer
	}
	return 1 << 20
}

// refuses reports whether the configuration is meant to be refused.
func (f *File) refuses() bool {
	return slices.ContainsFunc(f.archive.Files, func(p txtar.File) bool { return p.Name == partRefused })
}

// with returns the file with what came out in place of what was expected.
func (f *File) with(refused string, out []outcome) []byte {
	a := &txtar.Archive{Comment: f.archive.Comment}
	put := func(o outcome) {
		for _, p := range o {
			a.Files = append(a.Files, txtar.File{Name: p.name, Data: []byte(p.text)})
		}
	}
	next, written := 0, false
	flush := func() {
		switch {
		case written:
		case next == 0 && refused != "":
			put(outcome{{partRefused, refused}})
		case next > 0 && next <= len(out):
			put(out[next-1])
		}
		written = true
	}
	for i, p := range f.archive.Files {
		kind, _, _ := strings.Cut(p.Name, " ")
		if slices.Contains(outputs(), kind) {
			continue
		}
		if kind == partClock && next > 0 { // of the next request
			flush()
		}
		if next < len(f.exchanges) && f.exchanges[next].part == i {
			flush()
			next, written = next+1, false
		}
		a.Files = append(a.Files, p)
	}
	flush()
	return txtar.Format(a)
}
