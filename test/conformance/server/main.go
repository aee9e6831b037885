//go:build linux

// Command server is what connectconformance takes for the server under test: a
// gateway in front of the reference server. It reads a ServerCompatRequest,
// starts both, and answers with the gateway's address.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func main() {
	gateway := flag.String("gateway", "", "the gateway's program")
	reference := flag.String("reference", "", "the reference server's program")
	old := flag.Bool("http1", false, "speak HTTP/1.1 to the reference server, whatever clients speak")
	flag.Parse()
	if err := run(*gateway, *reference, *old); err != nil {
		fmt.Fprintln(os.Stderr, "conformance server:", err)
		os.Exit(1)
	}
}

func run(gateway, reference string, old bool) error {
	raw, err := receive(os.Stdin)
	if err != nil {
		return err
	}
	req, err := parse(raw)
	if err != nil {
		return err
	}
	req.upstream = min(req.version, http2) // HTTP/3 is spoken to clients only
	if old {
		req.upstream = http1
	}
	upstream, kill, err := startReference(reference, req)
	if err != nil {
		return err
	}
	defer kill()
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := req.configure(dir, upstream); err != nil {
		return err
	}
	port, kill, err := startGateway(gateway, dir)
	if err != nil {
		return err
	}
	defer kill()
	var answer []byte
	answer = protowire.AppendTag(answer, 1, protowire.BytesType)
	answer = protowire.AppendString(answer, "127.0.0.1")
	answer = protowire.AppendTag(answer, 2, protowire.VarintType)
	answer = protowire.AppendVarint(answer, uint64(port))
	answer = protowire.AppendTag(answer, 3, protowire.BytesType)
	answer = protowire.AppendBytes(answer, req.cert)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := send(os.Stdout, answer); err != nil {
		return err
	}
	<-stop
	return nil
}

// Versions of HTTP, as in the messages.
const (
	http1 = 1
	http2 = 2
	http3 = 3
)

// request is a ServerCompatRequest.
type request struct {
	protocol, version, limit uint64
	upstream                 uint64 // the version of HTTP that is spoken to the reference
	tls                      bool
	clients                  []byte // whose certificates clients have to show
	cert, key                []byte
}

// parse reads the fields of a ServerCompatRequest (server_compat.proto).
func parse(p []byte) (*request, error) {
	r := &request{}
	err := fields(p, func(n protowire.Number, v uint64, b []byte) error {
		switch n {
		case 1:
			r.protocol = v
		case 2:
			r.version = v
		case 4:
			r.tls = v != 0
		case 5:
			r.clients = b
		case 6:
			r.limit = v
		case 7:
			return fields(b, func(n protowire.Number, _ uint64, b []byte) error {
				switch n {
				case 1:
					r.cert = b
				case 2:
					r.key = b
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && r.tls && len(r.cert) == 0 {
		err = errors.New("the request has no certificate")
	}
	return r, err
}

// fields calls f with every field of a message.
func fields(p []byte, f func(n protowire.Number, v uint64, b []byte) error) error {
	for len(p) > 0 {
		n, kind, size := protowire.ConsumeTag(p)
		if size < 0 {
			return protowire.ParseError(size)
		}
		p = p[size:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(p)
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(p)
		default:
			size = protowire.ConsumeFieldValue(n, kind, p)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		p = p[size:]
		if err := f(n, v, b); err != nil {
			return err
		}
	}
	return nil
}

// maxMessage bounds what the other side may announce.
const maxMessage = 16 << 20

// receive reads a message behind its length.
func receive(in io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	p := make([]byte, n)
	_, err := io.ReadFull(in, p)
	return p, err
}

func send(out io.Writer, p []byte) error {
	_, err := out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
	return err
}

// startReference starts the reference server in the clear and returns its
// address.
func startReference(program string, r *request) (addr string, kill func(), err error) {
	var q []byte
	number := func(n protowire.Number, v uint64) {
		q = protowire.AppendVarint(protowire.AppendTag(q, n, protowire.VarintType), v)
	}
	number(1, r.protocol)
	number(2, r.upstream)
	number(6, r.limit)
	var in bytes.Buffer
	_ = send(&in, q) // to memory
	out, kill, err := start(program, &in, os.Stderr, "-bind", "127.0.0.1", "-port", "0")
	if err != nil {
		return "", nil, err
	}
	p, err := receive(out)
	if err != nil {
		kill()
		return "", nil, fmt.Errorf("the reference server: %w", err)
	}
	host, port := "", uint64(0)
	err = fields(p, func(n protowire.Number, v uint64, b []byte) error {
		switch n {
		case 1:
			host = string(b)
		case 2:
			port = v
		}
		return nil
	})
	if err != nil {
		kill()
		return "", nil, err
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), kill, nil
}

// configure writes the gateway's configuration.
func (r *request) configure(dir, upstream string) error {
	protocols := map[uint64]string{http1: `"http/1.1"`, http2: `"h2"`, http3: `"http/1.1", "h2", "h3"`}[r.version]
	tls := ""
	if r.tls {
		tls = "  tls {\n    certificates = [certificate.it]\n"
		if len(r.clients) > 0 {
			tls += "    client_auth {\n      mode    = \"require\"\n      ca_file = \"clients.pem\"\n    }\n"
		}
		tls += "  }\n"
	}
	spoken := map[uint64]string{http1: "http/1.1", http2: "h2c"}[r.upstream]
	text := fmt.Sprintf(`
gateway {
  admin {
    address = "127.0.0.1:0"
  }
  log {
    format = "json"
  }
}
listener "it" {
  address   = "127.0.0.1:0"
  protocols = [%s]
%s}
upstream "reference" {
  protocol = %q
  endpoint %q {}
}
route "all" {
  upstream = upstream.reference
}
`, protocols, tls, spoken, upstream)
	if r.tls {
		text += "certificate \"it\" {\n  cert_file = \"it.crt\"\n  key_file  = \"it.key\"\n}\n"
	}
	for name, p := range map[string][]byte{"headgate.hcl": []byte(text), "it.crt": r.cert, "it.key": r.key, "clients.pem": r.clients} {
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// startGateway starts the gateway and returns the port that it listens on.
func startGateway(program, dir string) (port int, kill func(), err error) {
	in, out, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	_, kill, err = start(program, nil, out, "run", "-cache=", dir)
	out.Close()
	if err != nil {
		return 0, nil, err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var e struct{ Msg, Listener, Address string }
		_ = json.Unmarshal(lines.Bytes(), &e) // a line that is no JSON is none of ours
		if e.Msg == "listening" && e.Listener == "it" {
			if _, p, err := net.SplitHostPort(e.Address); err == nil {
				port, _ = strconv.Atoi(p)
			}
		}
		if e.Msg == "serving" && port > 0 {
			go func() { _, _ = io.Copy(os.Stderr, in) }()
			return port, kill, nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	kill()
	return 0, nil, errors.New("the gateway did not start")
}

// start starts a program and returns what it writes; its log goes to complaints.
func start(program string, in io.Reader, complaints *os.File, args ...string) (out io.Reader, kill func(), err error) {
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stderr = in, complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should we be killed
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return pipe, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	}, nil
}
