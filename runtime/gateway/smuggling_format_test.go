package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// readCases reads a file of cases.
func readCases(t *testing.T, file string) (cases []*smuggling) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c *smuggling
	var comment []string
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		if mark == "==" {
			c = &smuggling{name: rest, comment: comment}
			cases, comment = append(cases, c), nil
			continue
		} else if mark == "" || mark == "#" {
			if mark == "#" {
				comment = append(comment, line)
			}
			continue
		} else if c == nil {
			t.Fatalf("%s:%d: no case begins here", file, i+1)
		}
		switch {
		case mark == ">":
			c.lines = append(c.lines, line)
			c.send = append(c.send, unquote(t, rest))
		case mark == "!":
			c.lines = append(c.lines, line)
			c.answer += unquote(t, rest)
		case mark == "!close":
			c.lines = append(c.lines, line)
			c.hangUp = true
		case mark == "~":
			c.lines = append(c.lines, line)
			c.raced = true
		case mark == "<":
			c.want.client += rest + "\n"
		case mark == "=":
			c.want.end = rest
		case mark[0] == '|':
			n, err := strconv.Atoi(mark[1:])
			if err != nil || n < 1 || n > len(c.want.backend)+1 {
				t.Fatalf("%s:%d: this is no connection", file, i+1)
			}
			if n > len(c.want.backend) {
				c.want.backend = append(c.want.backend, "")
			}
			c.want.backend[n-1] += rest + "\n"
		default:
			t.Fatalf("%s:%d: what is this?", file, i+1)
		}
	}
	return cases
}

// writeCases writes a file of cases with the outcomes that they have now.
func writeCases(t *testing.T, file string, cases []*smuggling) {
	var b strings.Builder
	for i, c := range cases {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range c.comment {
			b.WriteString(line + "\n")
		}
		b.WriteString("== " + c.name + "\n")
		for _, line := range c.lines {
			b.WriteString(line + "\n")
		}
		b.WriteString(c.want.text())
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (o *outcome) text() string {
	var b strings.Builder
	marked(&b, "<", o.client)
	b.WriteString("= " + o.end + "\n")
	for i, conn := range o.backend {
		marked(&b, "|"+strconv.Itoa(i+1), conn)
	}
	return b.String()
}

func marked(b *strings.Builder, mark, lines string) {
	for line := range strings.Lines(lines) {
		b.WriteString(strings.TrimRight(mark+" "+strings.TrimSuffix(line, "\n"), " ") + "\n")
	}
}

var repeated = regexp.MustCompile(`\{(\\?.)\*(\d+)\}`)

// unquote turns a line of a case into bytes. CRLF ends it unless a backslash
// does.
func unquote(t *testing.T, line string) string {
	line = repeated.ReplaceAllStringFunc(line, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2])
		return strings.Repeat(m[1], n)
	})
	line, open := strings.CutSuffix(line, `\`)
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if !open {
		s += "\r\n"
	}
	return s
}

var runs = regexp.MustCompile(`a{100,}|b{100,}|0{100,}`)

// quote is the inverse of unquote for all lines.
func quote(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		line, rest, whole := strings.Cut(s, "\r\n")
		s = rest
		q := strconv.QuoteToASCII(line)
		q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		q = runs.ReplaceAllStringFunc(q, func(s string) string { return fmt.Sprintf("{%c*%d}", s[0], len(s)) })
		if b.WriteString(q); !whole || strings.HasSuffix(q, " ") {
			if whole {
				b.WriteString(`\r\n`)
			}
			b.WriteByte('\\')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// What differs from run to run, with what stands for it in a case. All but the
// last keep their length.
var (
	date      = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`)
	uuid      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	someDate  = "Date: " + http.TimeFormat
	someUUID  = "01234567-89ab-7cde-8123-456789abcdef"
	forwarded = regexp.MustCompile(`X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ([^\r]*)\r\nX-Forwarded-Port: PORT\r\nx-request-id: ` + someUUID + `\r\n`)
	viaUs     = regexp.MustCompile(`Via: (?:1\.[01]|2) headgate\r\n`) // in every request; left out
)

func steady(s string) string {
	return uuid.ReplaceAllString(date.ReplaceAllString(s, someDate), someUUID)
}

// abridgeRequests is what a connection to the backend carried, as a case shows
// it: what the gateway adds to every request is one line.
func abridgeRequests(s, base string) string {
	if s == "" {
		return "{nothing}\n"
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(base, "http://"), ":")
	s = strings.ReplaceAll(steady(s), "X-Forwarded-Port: "+port+"\r\n", "X-Forwarded-Port: PORT\r\n")
	s = viaUs.ReplaceAllString(s, "")
	s = forwarded.ReplaceAllString(s, "{forwarded $1}\r\n")
	return strings.ReplaceAll(quote(s), strings.TrimSuffix(quote(strings.Replace(probe, "\r\n\r\n", "\r\n{forwarded probe}\r\n\r\n", 1)), "\n"), "{probe}")
}

const interim = "HTTP/1.1 100 Continue\r\n\r\n"

var message = regexp.MustCompile(`^HTTP/1\.1 (\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n`)

var detail = regexp.MustCompile(`"detail":"([^"]*)"`)

// abridge is what a client got, as a case shows it: an answer of ours, or an
// echo of the backend, is one line if it is exactly what it should be.
func abridge(s string) string {
	var b strings.Builder
	for s = steady(s); s != ""; {
		if line, n := known(s); n > 0 {
			b.WriteString(line)
			s = s[n:]
			continue
		}
		n := len(s)
		if i := strings.Index(s[1:], "HTTP/1.1 "); i >= 0 {
			n = 1 + i
		}
		b.WriteString(quote(s[:n]))
		s = s[n:]
	}
	return b.String()
}

// known is the line for the n bytes of answer that s begins with; 0 if it is not
// one of the usual.
func known(s string) (line string, n int) {
	if strings.HasPrefix(s, interim) {
		return "100\n", len(interim)
	}
	m := message.FindStringSubmatch(s)
	if m == nil {
		return "", 0
	}
	size, _ := strconv.Atoi(m[2])
	if n = len(m[0]) + size; n > len(s) {
		return "", 0
	}
	text := s[len(m[0]):n]
	if d := detail.FindStringSubmatch(text); d != nil {
		text = d[1]
	}
	line = m[1] + " " + strconv.Quote(text)
	if strings.Contains(m[0], "\r\nConnection: close\r\n") {
		line += " close"
	}
	line += "\n"
	if expand(line) != s[:n] {
		return "", 0
	}
	return line, n
}

var answerLine = regexp.MustCompile(`^(?:(100)|(\d{3}) (".*?[^\\]"|"")( close)?)$`)

// expand is the inverse of abridge but for what differs from run to run.
func expand(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSuffix(line, "\n")
		m := answerLine.FindStringSubmatch(line)
		if m == nil {
			s, _ := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimSuffix(line, `\`), `"`, `\"`) + `"`)
			if b.WriteString(s); !strings.HasSuffix(line, `\`) {
				b.WriteString("\r\n")
			}
			continue
		}
		if m[1] != "" {
			b.WriteString(interim)
			continue
		}
		status, _ := strconv.Atoi(m[2])
		title := http.StatusText(status)
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, title)
		body, _ := strconv.Unquote(m[3])
		if status != 200 {
			body = fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q,"request_id":"%s"}`+"\n", title, status, body, someUUID)
			b.WriteString("content-type: application/problem+json\r\n")
		}
		fmt.Fprintf(&b, "x-request-id: %s\r\n%s\r\nContent-Length: %d\r\n", someUUID, someDate, len(body))
		if m[4] != "" {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n" + body)
	}
	return b.String()
}

// settled is what of an outcome does not depend on when each byte arrived: how a
// chunked body was cut, how much of a message left before it was found out, and
// whether the client was invited to send what it had sent.
func (o *outcome) settled() outcome {
	s := outcome{end: strings.Replace(o.end, "reset", "closed", 1)}
	s.client = refusal.ReplaceAllString(strings.ReplaceAll(o.client, "100\n", ""), "$1")
	for _, conn := range o.backend {
		if whole := strings.TrimSuffix(conn, "{cut}\n"); whole == conn {
			s.backend = append(s.backend, joinChunks(conn))
		}
	}
	return s
}

var refusal = regexp.MustCompile(`(?m)^([45]\d\d) ".*"`)

func joinChunks(conn string) string {
	var b strings.Builder
	data := ""
	lines := strings.Split(conn, "\n")
	for i := 0; i < len(lines); i++ {
		n, err := strconv.ParseInt(lines[i], 16, 32)
		switch {
		case err == nil && n > 0 && i+1 < len(lines) && len(lines[i+1]) == int(n):
			data += lines[i+1]
			i++
			continue
		case data != "":
			fmt.Fprintf(&b, "%x\n%s\n", len(data), data)
			data = ""
		}
		b.WriteString(lines[i] + "\n")
	}
	return b.String()
}
