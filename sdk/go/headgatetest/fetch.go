package headgatetest

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	headgate "github.com/headgate/headgate/sdk/go"
)

// answer is what became of one of many requests.
type answer struct {
	status int32
	header [][2]string
	body   []byte
}

// FetchMany implements host.Host, one request after the other.
func (f *fake) FetchMany(p []byte) int32 {
	const most, head = 16, 20
	f.answers = nil
	for len(p) > 0 {
		if len(f.answers) == most {
			f.answers = nil
			return -2
		}
		var n [5]uint32
		for i := range n {
			n[i] = binary.LittleEndian.Uint32(p[4*i:])
		}
		p = p[head:]
		var parts [4][]byte
		for i := range parts {
			parts[i], p = p[:n[i]], p[n[i]:]
		}
		var a answer
		a.status, a.header, a.body = f.Fetch(string(parts[0]), string(parts[1]), string(parts[2]), parts[3], n[4])
		f.answers = append(f.answers, a)
	}
	return int32(len(f.answers))
}

// FetchAnswer implements host.Host.
func (f *fake) FetchAnswer(i uint32) (int32, [][2]string, []byte) {
	a := f.answers[i]
	return a.status, a.header, a.body
}

// Fetch implements host.Host.
func (f *fake) Fetch(method, url, fields string, body []byte, timeoutMS uint32) (int32, [][2]string, []byte) {
	if f.e.f.fetch == nil {
		return -1, nil, nil
	}
	r := headgate.FetchRequest{Method: method, URL: url, Body: slices.Clone(body), Timeout: time.Duration(timeoutMS) * time.Millisecond}
	for texts := strings.Split(fields, "\x00"); len(texts) > 2; texts = texts[2:] {
		r.Header = append(r.Header, [2]string{texts[0], texts[1]})
	}
	answer, err := f.e.f.fetch(r)
	for status, known := range map[int32]error{
		-1: headgate.ErrFetchDenied, -2: headgate.ErrFetchInvalid, -4: headgate.ErrFetchTimeout, -5: headgate.ErrFetchTooLarge,
	} {
		if errors.Is(err, known) {
			return status, nil, nil
		}
	}
	if err != nil {
		return -3, nil, nil
	}
	return int32(answer.Status), answer.Header, answer.Body
}
