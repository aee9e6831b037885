package certs

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Store keeps the certificates and authorities that configurations name, reads
// their files again when they change, and makes the keys of session tickets. It
// outlives configurations and is safe for concurrent use.
type Store struct {
	log     *slog.Logger
	tickets ring
	issuers *issuers
	stop    chan struct{}
	stopped sync.WaitGroup

	mu      sync.Mutex // guards what follows
	sources map[sourceKey]*source
	servers map[*Server]bool
	made    int // sources
}

// sourceKey is what makes two sources the same: a reload keeps those.
type sourceKey struct{ name, certFile, keyFile string }

// source is something that is read from files.
type source struct {
	key         sourceKey
	certificate *Certificate // or
	authorities *Authorities
	users       int // configurations that have it
	number      int // counts sources

	// seen is how the files were when they were read last, pending how they were
	// at the last look if that differed.
	seen, pending []os.FileInfo
	loaded        int64 // times that a change was taken
	refused       int64 // times that it was not
}

// pollPeriod is the time between two looks at the files. A change is taken when
// two looks in a row see the same: a certificate and its key are two files. To
// look is cheap, and works where changes are not told: over NFS, in containers.
const pollPeriod = time.Second

// NewStore makes an empty store that says on log what it reads. Close ends it.
func NewStore(log *slog.Logger) *Store {
	s := &Store{log: log, issuers: newIssuers(), stop: make(chan struct{}), sources: map[sourceKey]*source{}, servers: map[*Server]bool{}}
	s.tickets.turn(time.Now())
	s.stopped.Go(s.watch)
	return s
}

// Close stops looking at files and obtaining certificates. What servers show stays.
func (s *Store) Close() {
	close(s.stop)
	s.issuers.close()
	s.stopped.Wait()
}

func (s *Store) watch() {
	t := time.NewTicker(pollPeriod)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.poll(now)
		}
	}
}

// poll looks at the files once, and turns the keys of tickets.
func (s *Store) poll(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stale := map[*Server]bool{}
	for _, src := range s.sources {
		s.look(src, now, stale)
	}
	for srv := range stale {
		srv.reindex()
	}
	if s.tickets.turn(now) {
		for srv := range s.servers {
			srv.reconfigure()
		}
	}
}

// look reads src again if its files changed and have settled. It adds the servers
// that have to be reindexed then.
func (s *Store) look(src *source, now time.Time, stale map[*Server]bool) {
	current := src.stat()
	switch {
	case same(current, src.seen):
		src.pending = nil
		return
	case src.pending == nil || !same(current, src.pending):
		src.pending = current
		return
	}
	src.seen, src.pending = current, nil
	if err := src.read(now, stale); err != nil {
		src.refused++
		s.log.Error("the new "+src.what()+" can't be used; the one from before stays", append(src.attrs(), "error", err.Error())...)
		return
	}
	src.loaded++
	s.log.Info(src.what()+" read again", src.attrs()...)
}

// Pair returns the certificate of a block with two files. It is the same one as
// long as anyone has it who asked with the same name and files. release gives it
// back.
func (s *Store) Pair(name, certFile, keyFile string) (c *Certificate, release func(), err error) {
	key := sourceKey{name, certFile, keyFile}
	src, release, err := s.use(key, func() *source { return &source{key: key, certificate: New(name)} })
	if err != nil {
		return nil, nil, err
	}
	return src.certificate, release, nil
}

// Authorities returns those of a file of PEM certificates, as Pair does.
func (s *Store) Authorities(file string) (a *Authorities, release func(), err error) {
	key := sourceKey{certFile: file}
	src, release, err := s.use(key, func() *source {
		return &source{key: key, authorities: &Authorities{servers: map[*Server]bool{}}}
	})
	if err != nil {
		return nil, nil, err
	}
	return src.authorities, release, nil
}

func (s *Store) use(key sourceKey, make func() *source) (*source, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.sources[key]
	if src == nil {
		src = make()
		src.seen = src.stat()
		now := time.Now()
		if err := src.read(now, map[*Server]bool{}); err != nil { // nobody follows yet
			return nil, nil, err
		}
		if c := src.certificate; c != nil && now.After(c.Leaf().NotAfter) {
			s.log.Warn("the certificate has expired", src.attrs()...)
		}
		s.made++
		src.number = s.made
		s.sources[key] = src
	}
	src.users++
	return src, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if src.users--; src.users == 0 {
			delete(s.sources, key)
		}
	}), nil
}

// Server makes the server of a listener. Sessions are resumed by every later
// server of the same name that demands the same of clients.
func (s *Store) Server(listener string, o Settings) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	srv := newServer(o, &tickets{ring: &s.tickets, listener: listener})
	s.servers[srv] = true
	srv.release = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.servers, srv)
	}
	return srv
}

// Stats is how a certificate or a file of authorities does.
type Stats struct {
	// Certificate is the name of the block, "" for authorities.
	Certificate string
	// CAFile is the file of the authorities, "" for a certificate.
	CAFile string
	// Names are the server names of what is shown.
	Names []string
	// NotAfter is when what is shown expires; zero for authorities, and as long as
	// nothing is shown.
	NotAfter time.Time
	// Loaded and Refused count changes of the files that were taken and that were
	// not; of a certificate by ACME, the attempts to obtain it.
	Loaded, Refused int64
}

// Stats returns those of everything that is read from files or obtained, by name. Where an
// old configuration still has a certificate of the same name, the newer counts.
func (s *Store) Stats() []Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[[2]string]*source{}
	for _, src := range s.sources {
		k := src.label()
		if n := newest[k]; n == nil || n.number < src.number {
			newest[k] = src
		}
	}
	var list []Stats
	for k, src := range newest {
		n := Stats{Certificate: k[0], CAFile: k[1], Loaded: src.loaded, Refused: src.refused}
		if src.certificate != nil {
			n.Names, n.NotAfter = src.certificate.Names(), src.certificate.Leaf().NotAfter
		}
		list = append(list, n)
	}
	list = append(list, s.issuers.stats()...)
	slices.SortFunc(list, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(a.Certificate, b.Certificate), cmp.Compare(a.CAFile, b.CAFile))
	})
	return list
}

// label is the name of a certificate, or the file of authorities.
func (src *source) label() [2]string {
	if src.certificate != nil {
		return [2]string{src.key.name, ""}
	}
	return [2]string{"", src.key.certFile}
}

// read reads the files as they are now, and adds the servers to be reindexed.
func (src *source) read(now time.Time, stale map[*Server]bool) error {
	if src.authorities != nil {
		text, err := readFile(src.key.certFile)
		if err == nil {
			err = src.authorities.replace(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", src.key.certFile, err)
		}
		return nil
	}
	pair, certErr, keyErr := ReadPair(src.key.certFile, src.key.keyFile)
	if err := src.because(certErr, keyErr); err != nil {
		return err
	}
	return src.because(src.certificate.replace(pair, now, stale), nil)
}

// because says which file is wrong.
func (src *source) because(certErr, keyErr error) error {
	switch {
	case certErr != nil && keyErr != nil:
		return fmt.Errorf("%s: %w; %s: %w", src.key.certFile, certErr, src.key.keyFile, keyErr)
	case certErr != nil:
		return fmt.Errorf("%s: %w", src.key.certFile, certErr)
	case keyErr != nil:
		return fmt.Errorf("%s: %w", src.key.keyFile, keyErr)
	}
	return nil
}

func (src *source) what() string {
	if src.certificate != nil {
		return "certificate"
	}
	return "client authorities"
}

// attrs are what log lines tell of src.
func (src *source) attrs() []any {
	if src.certificate == nil {
		return []any{"ca_file", src.key.certFile}
	}
	return []any{
		"certificate", src.key.name, "names", src.certificate.Names(),
		"expires", src.certificate.Leaf().NotAfter.UTC().Format(time.RFC3339),
	}
}

// stat looks at the files behind symbolic links, nil where there is none.
func (src *source) stat() []os.FileInfo {
	var list []os.FileInfo
	for _, path := range []string{src.key.certFile, src.key.keyFile} {
		st, err := os.Stat(path)
		if err != nil {
			st = nil
		}
		list = append(list, st)
	}
	return list
}

// same reports whether the files are the same and, as far as can be seen without
// reading them, unchanged.
func same(a, b []os.FileInfo) bool {
	return slices.EqualFunc(a, b, func(x, y os.FileInfo) bool {
		if x == nil || y == nil {
			return x == nil && y == nil
		}
		return os.SameFile(x, y) && x.Size() == y.Size() && x.ModTime().Equal(y.ModTime()) && x.Mode() == y.Mode()
	})
}
