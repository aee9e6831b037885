package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

// Sockets is where listening sockets come from: they are bound, unless they were
// handed to this process, by systemd or by the process that it replaces. The
// zero value was handed nothing. It is safe for concurrent use.
type Sockets struct {
	mu sync.Mutex
	// handed are those of the process before us, by key. Each is taken once.
	handed    map[string]net.Listener
	handedUDP map[string]*net.UDPConn
	// named are systemd's. They stay open for configurations to come.
	named map[string][]*os.File
}

// named begins the addresses of systemd's sockets.
const named = "fd:"

// Hand adds the listening socket f that the process before us had under key, or
// one of systemd's under fd:NAME. A socket under a key of Set.Files goes where it
// was. f then belongs to s.
func (s *Sockets) Hand(key string, f *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := strings.CutPrefix(key, named); ok {
		name, _, _ = strings.Cut(name, "#")
		if s.named == nil {
			s.named = map[string][]*os.File{}
		}
		s.named[name] = append(s.named[name], f)
		return nil
	}
	defer f.Close()
	if name, ok := strings.CutPrefix(key, udpKey); ok {
		if err := s.handUDP(name, f); err != nil {
			return fmt.Errorf("the socket handed over for %s: %w", key, err)
		}
		return nil
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("the socket handed over for %s: %w", key, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // until it is in use, its file is another's
	}
	if s.handed == nil {
		s.handed = map[string]net.Listener{}
	}
	s.handed[key] = l
	return nil
}

// files returns copies of systemd's sockets by key.
func (s *Sockets) files() (map[string]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := map[string]*os.File{}
	for name, list := range s.named {
		for i, f := range list {
			c, err := duplicate(f)
			if err != nil {
				return files, fmt.Errorf("the socket %q of systemd: %w", name, err)
			}
			files[fmt.Sprintf("%s%s#%d", named, name, i)] = c
		}
	}
	return files, nil
}

// Listen returns the socket that was handed over under key, or else that of
// address: host:port, :port, unix:/path or fd:NAME.
func (s *Sockets) Listen(key, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.handed[key]; l != nil {
		delete(s.handed, key)
		return l, nil
	}
	if name, ok := strings.CutPrefix(address, named); ok {
		return s.byName(name)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

func (s *Sockets) byName(name string) (net.Listener, error) {
	switch list := s.named[name]; len(list) {
	case 0:
		return nil, fmt.Errorf("systemd handed over no socket with the name %q", name)
	case 1:
		l, err := net.FileListener(list[0])
		if err != nil {
			return nil, fmt.Errorf("the socket %q of systemd: %w", name, err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the file is systemd's
		}
		return l, nil
	default:
		return nil, fmt.Errorf("systemd handed over %d sockets with the name %q: give each a unit with its own FileDescriptorName", len(list), name)
	}
}

// Forget closes what the process before us handed over and nobody took, and
// removes the files of Unix sockets among it: the process before us leaves them
// in place for the one after it.
func (s *Sockets) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.handed {
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(true)
		}
		l.Close()
	}
	s.handed = nil
	s.forgetUDP()
}

func (s *Sockets) forgetUDP() {
	for _, c := range s.handedUDP {
		c.Close()
	}
	s.handedUDP = nil
}

// Close closes everything that is left, and removes nothing.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.handed {
		l.Close()
	}
	s.handed = nil
	s.forgetUDP()
	for _, list := range s.named {
		for _, f := range list {
			f.Close()
		}
	}
	s.named = nil
}

func listenUnix(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err == nil {
		return l, nil
	}
	// A socket file that nobody listens on is left from a process that died.
	if c, dialErr := net.Dial("unix", path); dialErr == nil {
		c.Close()
		return nil, err
	}
	if info, statErr := os.Lstat(path); statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, err
	}
	if rmErr := os.Remove(path); rmErr != nil {
		return nil, errors.Join(err, rmErr)
	}
	return net.Listen("unix", path)
}
