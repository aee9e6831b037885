package headgate_test

import (
	"bytes"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type shouts struct{}

func (*shouts) Request(*headgate.Exchange) headgate.Verdict { return headgate.Continue }

func (*shouts) RequestChunk(_ *headgate.Exchange, c *headgate.Chunk) {
	switch {
	case bytes.HasSuffix(c.Data(), []byte("-")):
		c.Buffer()
	case bytes.Contains(c.Data(), []byte("stop")):
		c.End([]byte("!"))
	case bytes.HasPrefix(c.Data(), []byte("a")):
		c.Replace(bytes.ToUpper(c.Data()))
	}
}

func TestChunk(t *testing.T) {
	headgate.Register("shouts", func(c shouts) (headgate.Filter, error) { return &c, nil })
	x := headgatetest.New(t, "shouts", "{}").Request("POST", "/")
	for want, pieces := range map[string][]string{
		"bABC-D": {"b", "abc-", "d"}, "ab-": {"ab-"}, "b!": {"b", "stop", "more"}, "": {""},
	} {
		if got := x.RequestChunks(pieces...); got != want {
			t.Errorf("%q: got %q, want %q", pieces, got, want)
		}
	}
}
