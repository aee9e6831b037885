package upstream

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer answers over UDP and TCP at the same port.
type dnsServer struct {
	address  string
	records  map[string][]dnsmessage.Resource // by type and name
	truncate atomic.Bool                      // over UDP
	refuse   atomic.Bool
	tcp      atomic.Int32
}

func startDNS(t *testing.T, records ...dnsmessage.Resource) *dnsServer {
	t.Helper()
	s := &dnsServer{records: map[string][]dnsmessage.Resource{}}
	for _, r := range records {
		k := r.Header.Type.String() + r.Header.Name.String()
		s.records[k] = append(s.records[k], r)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	p, err := net.ListenPacket("udp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); p.Close() })
	go s.serveUDP(p)
	go s.serveTCP(l)
	return s
}

func (s *dnsServer) serveUDP(p net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return
		}
		p.WriteTo([]byte("garbage"), from) // is passed over
		p.WriteTo(s.answer(b[:n], s.truncate.Load()), from)
	}
}

func (s *dnsServer) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.tcp.Add(1)
		var size [2]byte
		io.ReadFull(c, size[:])
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		io.ReadFull(c, b)
		a := s.answer(b, false)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
		c.Close()
	}
}

func (s *dnsServer) answer(query []byte, truncate bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 || len(m.Additionals) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Truncated, m.Additionals = true, truncate, nil
	name := q.Name.String()
	if cname := s.records["TypeCNAME"+name]; cname != nil {
		m.Answers = append(m.Answers, cname...)
		name = cname[0].Body.(*dnsmessage.CNAMEResource).CNAME.String()
	}
	m.Answers = append(m.Answers, s.records[q.Type.String()+name]...)
	if s.refuse.Load() {
		m.RCode, m.Answers = dnsmessage.RCodeServerFailure, nil
	} else if strings.HasPrefix(name, "missing") {
		m.RCode = dnsmessage.RCodeNameError
	}
	if truncate {
		m.Answers = nil
	}
	b, _ := m.Pack()
	return b
}

func record(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}, Body: body}
	switch body.(type) {
	case *dnsmessage.AResource:
		r.Header.Type = dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		r.Header.Type = dnsmessage.TypeAAAA
	case *dnsmessage.SRVResource:
		r.Header.Type = dnsmessage.TypeSRV
	case *dnsmessage.CNAMEResource:
		r.Header.Type = dnsmessage.TypeCNAME
	}
	return r
}

func zone() []dnsmessage.Resource {
	target := dnsmessage.MustNewName("orders.internal.")
	return []dnsmessage.Resource{
		record("orders.internal.", 60, &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}),
		record("orders.internal.", 30, &dnsmessage.AResource{A: [4]byte{10, 0, 0, 2}}),
		record("orders.internal.", 90, &dnsmessage.AAAAResource{AAAA: [16]byte{15: 1}}),
		record("alias.internal.", 20, &dnsmessage.CNAMEResource{CNAME: target}),
		record("_http._tcp.internal.", 15, &dnsmessage.SRVResource{Priority: 1, Weight: 7, Port: 8080, Target: target}),
		record("_http._tcp.internal.", 15, &dnsmessage.SRVResource{Priority: 2, Weight: 9, Port: 9090, Target: target}),
	}
}

func TestLookup(t *testing.T) {
	s := startDNS(t, zone()...)
	cut := startDNS(t, zone()...)
	cut.truncate.Store(true)
	broken := startDNS(t, zone()...)
	broken.refuse.Store(true)
	all := "10.0.0.1:80 10.0.0.2:80 [::1]:80"
	for _, test := range []struct {
		name    string
		servers []*dnsServer
		dns     DNS
		want    string
		ttl     time.Duration
		problem string
	}{
		{"both families", []*dnsServer{s}, DNS{Name: "orders.internal", Port: 80}, all, 30 * time.Second, ""},
		{"search domain", []*dnsServer{s}, DNS{Name: "orders", Port: 80}, all, 30 * time.Second, ""},
		{"alias", []*dnsServer{s}, DNS{Name: "alias.internal.", Port: 80}, all, 20 * time.Second, ""},
		{"lowest priority", []*dnsServer{s}, DNS{Name: "_http._tcp.internal.", SRV: true}, "10.0.0.1:8080 10.0.0.2:8080 [::1]:8080", 15 * time.Second, ""},
		{"truncated", []*dnsServer{cut}, DNS{Name: "orders.internal.", Port: 80}, all, 30 * time.Second, ""},
		{"second server", []*dnsServer{broken, s}, DNS{Name: "orders.internal.", Port: 80}, all, 30 * time.Second, ""},
		{"failure", []*dnsServer{broken}, DNS{Name: "orders.internal.", Port: 80}, "", 0, "ServerFailure"},
		{"missing", []*dnsServer{s}, DNS{Name: "missing.internal.", Port: 80}, "", 0, "does not exist"},
		{"no records", []*dnsServer{s}, DNS{Name: "orders.internal.", SRV: true}, "", 0, "has no SRV"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &resolver{search: []string{"internal"}, ndots: 1, attempts: 1, timeout: 5 * time.Second}
			for _, s := range test.servers {
				r.servers = append(r.servers, s.address)
			}
			list, ttl, err := r.lookup(context.Background(), test.dns)
			var got []string
			for _, e := range list {
				got = append(got, e.Address)
				if test.dns.SRV && e.Weight != 7 {
					t.Errorf("the weight is %d", e.Weight)
				}
			}
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != test.want || ttl != test.ttl {
				t.Errorf("got %q, TTL %v, error %v", got, ttl, err)
			}
		})
	}
	if cut.tcp.Load() == 0 {
		t.Error("a truncated answer was not asked for over TCP")
	}
}

func TestParseResolvConf(t *testing.T) {
	r := parseResolvConf(strings.NewReader("# x\nnameserver 10.0.0.1\nnameserver ::1\nsearch a.b c\noptions ndots:2 timeout:1 attempts:9 rotate\n"))
	if strings.Join(r.servers, " ") != "10.0.0.1:53 [::1]:53" || r.ndots != 2 || r.timeout != time.Second || r.attempts != 5 {
		t.Errorf("read %+v", r)
	}
	if got := strings.Join(r.candidates("x.y"), " "); got != "x.y.a.b. x.y.c. x.y." {
		t.Errorf("candidates are %s", got)
	}
	if got := strings.Join(r.candidates("x.y.z"), " "); got != "x.y.z. x.y.z.a.b. x.y.z.c." {
		t.Errorf("candidates are %s", got)
	}
}

func FuzzParseAnswer(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("orders.internal."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 1, Response: true}, Questions: []dnsmessage.Question{q}, Answers: zone()[:2]}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, message []byte) {
		a, err := parseAnswer(message, 1, q)
		if err == nil && len(a.ips) == 0 {
			t.Error("an answer without records")
		}
		if a.ttl < 0 || a.ttl > maxTTL {
			t.Errorf("the TTL is %v", a.ttl)
		}
	})
}
