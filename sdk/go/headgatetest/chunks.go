package headgatetest

import headgate "github.com/headgate/headgate/sdk/go"

// RequestChunks passes a body through a filter that is a headgate.RequestStreamer,
// in these pieces, and returns what comes out.
func (e *Exchange) RequestChunks(pieces ...string) string {
	return e.pass(e.f.Filter.(headgate.RequestStreamer).RequestChunk, pieces)
}

// ResponseChunks does the same with one that is a headgate.ResponseStreamer.
func (e *Exchange) ResponseChunks(pieces ...string) string {
	return e.pass(e.f.Filter.(headgate.ResponseStreamer).ResponseChunk, pieces)
}

func (e *Exchange) pass(f func(*headgate.Exchange, *headgate.Chunk), pieces []string) string {
	var out, held []byte
	for i, p := range pieces {
		held = append(held, p...)
		c := headgate.NewChunk(held, i == len(pieces)-1)
		f(e.x, c)
		p, buffer, end := c.Outcome()
		out = append(out, p...)
		if end {
			break
		}
		if !buffer {
			held = nil
		}
	}
	return string(out)
}
