package main

import (
	"bytes"
	"errors"

	headgate "github.com/headgate/headgate/sdk/go"
)

// streams changes bodies as they pass.
type streams struct {
	// What is done to them: upper, lines (upper case of whole lines), count, first
	// (only the first ten bytes), fail, panic, or nothing.
	What string
}

// counted is what an exchange keeps.
type counted struct{ request, response int }

// Request implements headgate.Filter.
func (c *streams) Request(x *headgate.Exchange) headgate.Verdict {
	x.State = &counted{}
	return headgate.Continue
}

// RequestChunk implements headgate.RequestStreamer.
func (c *streams) RequestChunk(x *headgate.Exchange, p *headgate.Chunk) {
	x.State.(*counted).request += p.Size
	c.change(x, p, x.State.(*counted).request)
}

// ResponseChunk implements headgate.ResponseStreamer.
func (c *streams) ResponseChunk(x *headgate.Exchange, p *headgate.Chunk) {
	x.State.(*counted).response += p.Size
	c.change(x, p, x.State.(*counted).response)
}

func (c *streams) change(x *headgate.Exchange, p *headgate.Chunk, n int) {
	switch c.What {
	case "upper":
		p.Replace(bytes.ToUpper(p.Data()))
	case "lines":
		if end := bytes.LastIndexByte(p.Data(), '\n'); end < 0 && !p.Last {
			p.Buffer()
		} else {
			p.Replace(bytes.ToUpper(p.Data()))
		}
	case "hold":
		p.Buffer()
	case "first":
		if n >= 10 {
			p.End(p.Data()[:max(0, p.Size-(n-10))])
		}
	case "fail":
		x.Fail(errors.New("on purpose"))
	case "panic":
		panic("on purpose")
	case "edit":
		x.Header.Set("x-late", "1")
	}
}
