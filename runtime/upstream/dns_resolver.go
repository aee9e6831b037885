package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver asks DNS servers. Unlike net.Resolver it says how long the answers
// hold.
type resolver struct {
	servers  []string // host:port
	search   []string
	ndots    int
	attempts int           // for all servers
	timeout  time.Duration // for one query to one server
}

// systemResolver returns the resolver of /etc/resolv.conf.
func systemResolver() *resolver {
	file, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return parseResolvConf(strings.NewReader(""))
	}
	defer file.Close()
	return parseResolvConf(io.LimitReader(file, 1<<16))
}

// parseResolvConf reads what resolv.conf(5) describes.
func parseResolvConf(file io.Reader) *resolver {
	r := &resolver{ndots: 1, attempts: 2, timeout: 5 * time.Second}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if len(r.servers) < 3 {
				r.servers = append(r.servers, net.JoinHostPort(f[1], "53"))
			}
		case "domain", "search":
			r.search = f[1:]
		case "options":
			r.options(f[1:])
		}
	}
	if len(r.servers) == 0 {
		r.servers = []string{"127.0.0.1:53"}
	}
	return r
}

func (r *resolver) options(options []string) {
	for _, o := range options {
		name, value, _ := strings.Cut(o, ":")
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			continue
		}
		switch name {
		case "ndots":
			r.ndots = min(n, 15)
		case "attempts":
			r.attempts = min(max(n, 1), 5)
		case "timeout":
			r.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
		}
	}
}

// candidates returns the full names to try for a name, in turn.
func (r *resolver) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var list []string
	for _, suffix := range r.search {
		list = append(list, name+"."+strings.TrimSuffix(suffix, ".")+".")
	}
	if strings.Count(name, ".") >= r.ndots {
		return append([]string{name + "."}, list...)
	}
	return append(list, name+".")
}

// addresses returns the addresses of both families and the least TTL. That one
// family fails is a failure: half an answer would take endpoints away.
func (r *resolver) addresses(ctx context.Context, name string) ([]net.IP, time.Duration, error) {
	err := error(ErrNoRecords)
	for _, full := range r.candidates(name) {
		var got [2]answer
		var errs [2]error
		var wg sync.WaitGroup
		for i, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			wg.Go(func() { got[i], errs[i] = r.ask(ctx, full, t) })
		}
		wg.Wait()
		for _, e := range errs {
			if e != nil && !errors.Is(e, ErrNoRecords) {
				return nil, 0, e
			}
		}
		ips := append(got[0].ips, got[1].ips...)
		if len(ips) > MaxDiscovered {
			return nil, 0, fmt.Errorf("more than %d endpoints", MaxDiscovered)
		}
		if len(ips) > 0 {
			return ips, min(ttlOf(got[0]), ttlOf(got[1])), nil
		}
		err = errs[0]
	}
	return nil, 0, err
}

// ttlOf returns the TTL of an answer; one without records bounds nothing.
func ttlOf(a answer) time.Duration {
	if len(a.ips) == 0 {
		return maxTTL
	}
	return a.ttl
}

func (r *resolver) services(ctx context.Context, name string) ([]service, time.Duration, error) {
	err := error(ErrNoRecords)
	for _, full := range r.candidates(name) {
		var a answer
		if a, err = r.ask(ctx, full, dnsmessage.TypeSRV); err == nil {
			return lowest(a.services), a.ttl, nil
		}
		if !errors.Is(err, ErrNoRecords) {
			return nil, 0, err
		}
	}
	return nil, 0, err
}

// ask asks the servers in turn until one answers.
func (r *resolver) ask(ctx context.Context, name string, t dnsmessage.Type) (answer, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return answer{}, fmt.Errorf("%q is not a name: %w", name, err)
	}
	q := dnsmessage.Question{Name: n, Type: t, Class: dnsmessage.ClassINET}
	for range r.attempts {
		for _, server := range r.servers {
			var a answer
			if a, err = r.exchange(ctx, server, q); err == nil || errors.Is(err, ErrNoRecords) {
				return a, err
			}
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
		}
	}
	return answer{}, fmt.Errorf("%s of %s: %w", strings.TrimPrefix(t.String(), "Type"), name, err)
}

// exchange asks one server, over TCP if the answer does not fit (RFC 7766).
func (r *resolver) exchange(ctx context.Context, server string, q dnsmessage.Question) (answer, error) {
	a, err := r.over(ctx, "udp", server, q)
	if errors.Is(err, errTruncated) {
		return r.over(ctx, "tcp", server, q)
	}
	return a, err
}

func (r *resolver) over(ctx context.Context, network, server string, q dnsmessage.Question) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	id := uint16(rand.Uint32())
	query, err := packQuery(id, q)
	if err != nil {
		return answer{}, err
	}
	if network == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	if _, err := c.Write(query); err != nil {
		return answer{}, err
	}
	for range maxStrays {
		message, err := receive(c, network)
		if err != nil {
			return answer{}, err
		}
		a, err := parseAnswer(message, id, q)
		if network == "udp" && errors.Is(err, errStray) {
			continue // forged, or late for another query
		}
		return a, err
	}
	return answer{}, errStray
}

// maxStrays bounds the messages that are passed over for one query.
const maxStrays = 64

func receive(c net.Conn, network string) ([]byte, error) {
	if network == "udp" {
		b := make([]byte, maxUDP)
		n, err := c.Read(b)
		return b[:n], err
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}
