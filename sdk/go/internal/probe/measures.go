package main

import headgate "github.com/headgate/headgate/sdk/go"

// measures makes metrics with a label from the path.
type measures struct {
	// Kind and Name are what to do; Label is the label's name, "" for none.
	Kind, Name, Label string
	V                 float64
	// Times makes as many series.
	Times int
}

// Request implements headgate.Filter.
func (c *measures) Request(x *headgate.Exchange) headgate.Verdict {
	var labels, values []string
	if c.Label != "" {
		labels, values = []string{c.Label}, []string{x.RawQuery()}
	}
	var err error
	for i := range max(c.Times, 1) {
		if i > 0 {
			values[0] += "+"
		}
		switch c.Kind {
		case "counter":
			err = x.Add(headgate.Counter(c.Name, labels...), c.V, values...)
		case "gauge":
			err = x.Set(headgate.Gauge(c.Name, labels...), c.V, values...)
		case "change":
			err = x.Add(headgate.Gauge(c.Name, labels...), c.V, values...)
		default:
			err = x.Observe(headgate.Histogram(c.Name, labels...), c.V, values...)
		}
	}
	return answer(x, text(err))
}
