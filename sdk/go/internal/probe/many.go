package main

import headgate "github.com/headgate/headgate/sdk/go"

// many asks several services at once.
type many struct {
	URLs []string `headgate:"urls"`
}

// Request implements headgate.Filter.
func (c *many) Request(x *headgate.Exchange) headgate.Verdict {
	var requests []headgate.FetchRequest
	for _, url := range c.URLs {
		requests = append(requests, headgate.POST(url, "text/plain", []byte(url)))
	}
	said := []any{}
	for _, r := range x.FetchMany(requests...) {
		if r.Err != nil {
			said = append(said, r.Err.Error())
			continue
		}
		said = append(said, r.Status, string(r.Body), r.Get("x-url"))
	}
	return answer(x, said)
}
