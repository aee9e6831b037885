// Command benchguest is the guest that the host's benchmark calls: it reads two
// header fields and sets one.
package main

import headgate "github.com/headgate/headgate/sdk/go"

type filter struct{}

func init() {
	headgate.Register("bench", func(struct{}) (headgate.Filter, error) { return filter{}, nil })
}

func main() {}

// Request implements headgate.Filter.
func (filter) Request(x *headgate.Exchange) headgate.Verdict {
	x.Header.Set("x-out", x.Header.Get("x-a")+x.Header.Get("x-b"))
	return headgate.Continue
}
