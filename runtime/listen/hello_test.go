package listen

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// recorded is a connection that only takes what is written to it.
type recorded struct {
	net.Conn
	bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error)      { return r.Buffer.Write(p) }
func (r *recorded) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) SetDeadline(time.Time) error      { return nil }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }

// clientHello is what crypto/tls sends first.
func clientHello(c *tls.Config) []byte {
	r := &recorded{}
	_ = tls.Client(r, c).Handshake()
	return bytes.Clone(r.Bytes())
}

// split puts the message of a record into records of n bytes.
func split(hello []byte, n int) []byte {
	var out []byte
	for p := hello[recordHeader:]; len(p) > 0; {
		m := min(n, len(p))
		out = append(out, 22, 3, 1, byte(m>>8), byte(m))
		out = append(out, p[:m]...)
		p = p[m:]
	}
	return out
}

// extended adds an extension ahead of the others of a hello.
func extended(hello []byte, id uint16, value string) []byte {
	_, at := extensions(hello)
	ext := append([]byte{byte(id >> 8), byte(id), byte(len(value) >> 8), byte(len(value))}, value...)
	out := append(append(bytes.Clone(hello[:at]), ext...), hello[at:]...)
	add := func(i, size int) {
		n := 0
		for _, b := range out[i : i+size] {
			n = n<<8 | int(b)
		}
		n += len(ext)
		for j := size - 1; j >= 0; j-- {
			out[i+j] = byte(n)
			n >>= 8
		}
	}
	add(at-2, 2)
	add(recordHeader+1, 3)
	add(3, 2)
	return out
}

// extensions returns the length of a hello's extensions and where they begin.
func extensions(hello []byte) (n, at int) {
	at = recordHeader + messageHeader + 2 + 32
	at += 1 + int(hello[at])
	at += 2 + int(hello[at])<<8 + int(hello[at+1])
	at += 1 + int(hello[at])
	return int(hello[at])<<8 | int(hello[at+1]), at + 2
}

func TestParseHello(t *testing.T) {
	plain := clientHello(&tls.Config{ServerName: "Db.Example.com"})
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"tls 1.3":       {plain, "db.example.com"},
		"tls 1.2":       {clientHello(&tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}), "a.example"},
		"no name":       {clientHello(&tls.Config{InsecureSkipVerify: true}), ""},
		"an address":    {clientHello(&tls.Config{ServerName: "127.0.0.1"}), ""},
		"alpn":          {clientHello(&tls.Config{ServerName: "a.example", NextProtos: []string{"h2"}}), "a.example"},
		"fragments":     {split(plain, 1), "db.example.com"},
		"two fragments": {split(plain, 200), "db.example.com"},
		"grease":        {extended(extended(plain, 0x0a0a, ""), 0xfafa, "\x00"), "db.example.com"},
		"ech":           {extended(plain, 0xfe0d, strings.Repeat("x", 300)), "db.example.com"},
		"padding":       {extended(plain, 21, strings.Repeat("\x00", 4000)), "db.example.com"},
	} {
		for n := range len(c.in) {
			if server, done, err := parseHello(c.in[:n]); done || err != nil || server != "" {
				t.Fatalf("%s: %d of %d bytes: %q %v %v", name, n, len(c.in), server, done, err)
			}
		}
		server, done, err := parseHello(append(bytes.Clone(c.in), "what follows"...))
		if server != c.want || !done || err != nil {
			t.Errorf("%s: %q %v %v", name, server, done, err)
		}
	}
}

func TestParseHelloRefuses(t *testing.T) {
	plain := clientHello(&tls.Config{ServerName: "a.example"})
	change := func(i int, b byte) []byte {
		p := bytes.Clone(plain)
		p[i] = b
		return p
	}
	name := bytes.Index(plain, []byte("a.example"))
	for name, in := range map[string][]byte{
		"version of the record": change(1, 2),
		"empty record":          {22, 3, 1, 0, 0},
		"record too long":       {22, 3, 1, 0x40, 1},
		"server hello":          change(5, 2),
		"message too long":      change(6, 1),
		"another record":        append(split(plain, 100)[:105], 23, 3, 3, 0, 1, 0),
		"two names":             extended(plain, 0, "\x00\x04\x00\x00\x01b"),
		"name of another type":  change(name-3, 1),
		"name of no bytes":      change(name-1, 0),
		"a space in the name":   change(name+1, ' '),
		"a NUL in the name":     change(name+1, 0),
		"a list too long":       change(name-4, 200),
		"cipher suites gone":    change(recordHeader+messageHeader+34+1+32, 0xff),
		"endless":               split(append(append(make([]byte, recordHeader), 1, 0, 0x3f, 0xff), make([]byte, 16<<10)...), 1),
	} {
		server, done, err := parseHello(in)
		if !errors.Is(err, errBadHello) {
			t.Errorf("%s: %q %v %v", name, server, done, err)
		}
	}
	for _, in := range []string{"GET / HTTP/1.1\r\n", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x80"} {
		if _, _, err := parseHello([]byte(in)); !errors.Is(err, errNotTLS) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// FuzzHello compares with crypto/tls: whatever both read names the same server.
func FuzzHello(f *testing.F) {
	f.Add(clientHello(&tls.Config{ServerName: "a.example"}))
	f.Add(split(clientHello(&tls.Config{ServerName: "a.example"}), 100))
	f.Add(clientHello(&tls.Config{InsecureSkipVerify: true}))
	f.Add(extended(clientHello(&tls.Config{ServerName: "a.example"}), 0x0a0a, "x"))
	f.Fuzz(func(t *testing.T, p []byte) {
		server, done, err := parseHello(p)
		if err != nil && (done || server != "") {
			t.Fatalf("an error with a result: %q %v %v", server, done, err)
		}
		if err == nil && !done && len(p) >= maxHello {
			t.Fatal("no end in sight")
		}
		for _, n := range []int{0, 1, 5, 9, len(p) / 2, len(p) - 1} {
			if n >= 0 && n < len(p) {
				if _, early, e := parseHello(p[:n]); early && (!done || err != nil) || e != nil && err == nil {
					t.Fatalf("%d bytes: %v %v, all: %v %v", n, early, e, done, err)
				}
			}
		}
		if !done {
			return
		}
		var other *string
		c := &prefixed{Conn: &recorded{}, read: p}
		_ = tls.Server(c, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			other = &h.ServerName
			return nil, errors.New("enough")
		}}).Handshake()
		if other != nil && !strings.EqualFold(strings.TrimSuffix(*other, "."), server) {
			t.Fatalf("we read %q, crypto/tls %q", server, *other)
		}
	})
}
