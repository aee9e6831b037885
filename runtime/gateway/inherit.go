package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/headgate/headgate/runtime/listen"
)

// handoverVariable tells a process which sockets of the one before it are in
// which descriptors.
const handoverVariable = "HEADGATE_HANDOVER"

// handover is its value, as JSON.
type handover struct {
	// Ready is the pipe on which the process says that it serves, or why not.
	Ready int `json:"ready"`
	// Sockets are descriptors by key, see listen.Set.Files.
	Sockets map[string]int `json:"sockets"`
}

// inherited is what a process was given at its start.
type inherited struct {
	sockets *listen.Sockets
	ready   *os.File // nil: nobody waits
}

// inherit takes what the process before us or systemd has passed on. It removes
// the variables that tell of it, since they are not meant for our children.
func inherit() (*inherited, error) {
	in := &inherited{sockets: &listen.Sockets{}}
	if text := os.Getenv(handoverVariable); text != "" {
		os.Unsetenv(handoverVariable)
		var h handover
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return nil, fmt.Errorf("%s: %w", handoverVariable, err)
		}
		in.ready = descriptor(h.Ready, "ready")
		for key, fd := range h.Sockets {
			if err := in.sockets.Hand(key, descriptor(fd, key)); err != nil {
				in.close(err)
				return nil, err
			}
		}
		return in, nil
	}
	// The protocol of sd_listen_fds(3).
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if n, err := strconv.Atoi(count); err == nil && pid == strconv.Itoa(os.Getpid()) {
		list := strings.Split(names, ":")
		for i := range min(n, maxInherited) {
			name := "unknown"
			if i < len(list) && list[i] != "" {
				name = list[i]
			}
			if err := in.sockets.Hand("fd:"+name, descriptor(firstInherited+i, name)); err != nil {
				in.close(err)
				return nil, err
			}
		}
	}
	return in, nil
}

const (
	firstInherited = 3
	maxInherited   = 1 << 10
)

// started tells the process before us that we serve, and lets go what it had and
// we don't use.
func (in *inherited) started() {
	in.sockets.Forget()
	in.say(readyWord)
}

// close tells the process before us why we don't serve, and gives everything
// back.
func (in *inherited) close(why error) {
	if why != nil {
		in.say(why.Error())
	}
	in.sockets.Close()
}

const readyWord = "ready"

func (in *inherited) say(what string) {
	if in.ready != nil {
		_, _ = in.ready.WriteString(what)
		in.ready.Close()
		in.ready = nil
	}
}
