package proxy

import (
	"errors"
	"io"
	"os"

	"github.com/headgate/headgate/runtime/exchange"
)

var errTooLarge = errors.New("the body is larger than max_body")

// limited is a body of unknown length that ends in errTooLarge beyond left.
type limited struct {
	exchange.Body
	left int64
}

func (b *limited) Next() ([]byte, error) {
	p, err := b.Body.Next()
	if b.left -= int64(len(p)); b.left < 0 {
		return nil, errTooLarge
	}
	return p, err
}

// boundBody applies max_body.
func (f *flow) boundBody() error {
	limit := f.route.MaxBody
	if limit == 0 {
		limit = f.t.MaxBody
	}
	r := &f.x.Request
	if limit == 0 || r.Body == nil {
		return nil
	}
	if r.Length > limit {
		return tooLarge()
	}
	if r.Length == exchange.Unknown {
		if p, ok := r.Body.(*exchange.Prefixed); ok { // read ahead by a match
			limit -= int64(len(p.Head))
			if limit < 0 {
				return tooLarge()
			}
			if p.Rest != nil {
				p.Rest = &limited{Body: p.Rest, left: limit}
			}
			return nil
		}
		r.Body = &limited{Body: r.Body, left: limit}
	}
	return nil
}

// readRequest reads the request body ahead as far as need asks.
func (f *flow) readRequest(need exchange.Need) error {
	r := &f.x.Request
	if need == exchange.NeedWhole && r.Length > f.route.Buffer {
		return tooLarge()
	}
	if err := f.x.ReadAhead(&r.Message, f.route.Buffer); err != nil {
		return f.bodyError(err)
	}
	if _, whole := r.Content(); need == exchange.NeedWhole && !whole {
		return tooLarge()
	}
	return nil
}

// readResponse does the same for the response body.
func (f *flow) readResponse(need exchange.Need) error {
	r := &f.x.Response
	if need == exchange.NeedWhole && r.Body != nil && r.Length > f.route.Buffer {
		return responseTooLarge()
	}
	for {
		err := f.x.ReadAhead(&r.Message, f.route.Buffer)
		if isTimeout(err) {
			if err = f.wait(); err == nil {
				continue
			}
		}
		if errors.Is(err, exchange.ErrMemory) {
			return overloaded(err)
		}
		if err != nil {
			return upstreamFailed(err)
		}
		break
	}
	if _, whole := r.Content(); need == exchange.NeedWhole && !whole {
		return responseTooLarge()
	}
	return nil
}

// statusError is an error of a front end that names the status that answers it.
type statusError interface {
	error
	HTTPStatus() int
}

// bodyError is the answer to a request body that could not be read.
func (f *flow) bodyError(err error) error {
	var s statusError
	var a *exchange.Answer
	switch {
	case errors.As(err, &a):
		return a
	case errors.Is(err, errTooLarge), errors.Is(err, exchange.ErrTooLarge):
		return tooLarge()
	case errors.Is(err, exchange.ErrMemory):
		return overloaded(err)
	case isTimeout(err):
		return &failure{status: 408, detail: "the request body did not arrive in time", cause: err}
	case errors.As(err, &s):
		return &failure{status: s.HTTPStatus(), detail: "the request body is malformed", cause: err}
	case errors.Is(err, io.ErrUnexpectedEOF) || f.x.Front.Gone():
		return errGone
	case errors.Is(err, exchange.ErrFilter):
		return filterFailed("of the request body", err)
	}
	return badRequest(err)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
