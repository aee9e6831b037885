package golden

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/headgate/headgate/runtime/exchange"
)

// message is a request or a response as a file shows it: a first line, fields, an
// empty line and the body. The last newline is the file's, not the body's.
type message struct {
	start  string
	fields [][2]string
	body   string
}

// encoded is how a body begins that can't be shown as it is.
const encoded = "base64:"

func parseMessage(text string) (m message, err error) {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	m.start = strings.TrimSpace(lines[0])
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !exchange.ValidName(name) || !exchange.ValidValue(value) {
			return m, fmt.Errorf("%q is not a header field; write NAME: VALUE", line)
		}
		m.fields = append(m.fields, [2]string{name, value})
	}
	m.body = strings.TrimSuffix(body, "\n")
	if rest, ok := strings.CutPrefix(m.body, encoded); ok {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(rest), ""))
		if err != nil {
			return m, fmt.Errorf("the body is not base64: %w", err)
		}
		m.body = string(raw)
	}
	return m, nil
}

func (m *message) String() string {
	var b strings.Builder
	b.WriteString(m.start + "\n")
	for _, f := range m.fields {
		b.WriteString(strings.TrimRight(f[0]+": "+f[1], " ") + "\n")
	}
	if m.body == "" {
		return b.String()
	}
	body := m.body
	if !showable(body) {
		body = encoded + " " + base64.StdEncoding.EncodeToString([]byte(body))
	}
	b.WriteString("\n" + body + "\n")
	return b.String()
}

// showable reports whether a body can stand in the file as it is.
func showable(body string) bool {
	return utf8.ValidString(body) && !strings.ContainsAny(body, "\r\x00") && !strings.HasPrefix(body, encoded) &&
		!strings.HasPrefix(body, "-- ") && !strings.Contains(body, "\n-- ")
}

func (m *message) add(h *exchange.Head) {
	for i := range h.Len() {
		_, name, value := h.At(i)
		m.fields = append(m.fields, [2]string{strings.ToLower(string(name)), string(value)})
	}
}

// method and target are those of a request's first line.
func (m *message) request() (method, target string, err error) {
	f := strings.Fields(m.start)
	if len(f) < 2 || len(f) > 3 || !exchange.ValidName(f[0]) || !strings.HasPrefix(f[1], "/") && f[1] != "*" {
		return "", "", fmt.Errorf("%q is not the first line of a request; write GET /path", m.start)
	}
	return f[0], f[1], nil
}

// status is that of a response's first line, "200" or "HTTP/1.1 200 OK".
func (m *message) status() (int, error) {
	for _, f := range strings.Fields(m.start) {
		if strings.HasPrefix(f, "HTTP/") {
			continue
		}
		n, err := strconv.Atoi(f)
		if err != nil || n < 200 || n > 599 {
			break
		}
		return n, nil
	}
	return 0, fmt.Errorf("%q is not the first line of a response; write a status from 200 to 599", m.start)
}
