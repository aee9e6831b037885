package native

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Meter keeps the metrics that plugins make. Metrics of one name have one kind and
// one list of label names, whichever plugin comes first. Its zero value is ready.
type Meter struct {
	mu       sync.RWMutex
	series   map[string]*Series // by plugin, name and labels
	families map[string]*family
	counts   map[string]int // series by plugin
}

type family struct {
	kind   MetricKind
	labels []string
	series int
}

// MetricKind is what a metric is.
type MetricKind uint8

// The kinds.
const (
	Counter MetricKind = iota
	Gauge
	Histogram
)

// Series is a metric of one plugin with values for its labels.
type Series struct {
	Plugin, Name   string
	Labels, Values []string
	Kind           MetricKind

	bits    atomic.Uint64 // of the value, or of the sum of a histogram
	count   atomic.Uint64
	buckets []atomic.Uint64 // of a histogram: each counts what lies above the one before
}

// Value returns the value, or the sum of a histogram.
func (s *Series) Value() float64 { return math.Float64frombits(s.bits.Load()) }

// IsCounter reports whether the value only grows.
func (s *Series) IsCounter() bool { return s.Kind == Counter }

// Histogram returns how many values there were, and how many up to each bound; nil
// if it is none.
func (s *Series) Histogram() (count uint64, upTo map[float64]uint64) {
	if s.Kind != Histogram {
		return 0, nil
	}
	upTo = map[float64]uint64{}
	var n uint64
	for i, bound := range bounds() {
		n += s.buckets[i].Load()
		upTo[bound] = n
	}
	return max(n, s.count.Load()), upTo
}

const boundCount = 11

// bounds are those of all histograms: of seconds that requests take.
func bounds() [boundCount]float64 {
	return [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func (s *Series) add(v float64) {
	for {
		old := s.bits.Load()
		if s.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func (s *Series) observe(v float64) {
	for i, bound := range bounds() {
		if v <= bound {
			s.buckets[i].Add(1)
			break
		}
	}
	s.count.Add(1)
	s.add(v)
}

// What a plugin may make.
const (
	maxSeries      = 1000 // of one plugin
	maxMetricName  = 64
	maxLabels      = 8
	maxLabelName   = 32
	maxLabelValue  = 128
	maxMetricBytes = maxMetricName + maxLabels*(maxLabelName+maxLabelValue+2)
)

// Series lists what there is.
func (m *Meter) Series() []*Series {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]*Series, 0, len(m.series))
	for _, s := range m.series {
		list = append(list, s)
	}
	return list
}

// Forget drops the metrics of a plugin.
func (m *Meter) Forget(plugin string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, s := range m.series {
		if s.Plugin != plugin {
			continue
		}
		delete(m.series, key)
		f := m.families[s.Name]
		if f.series--; f.series == 0 {
			delete(m.families, s.Name)
		}
	}
	delete(m.counts, plugin)
}

// find returns the series of a key, plugin NUL name NUL and labels, or makes it.
func (m *Meter) find(key []byte, plugin string, kind MetricKind, name, labels []byte) (*Series, int32) {
	m.mu.RLock()
	s := m.series[string(key)]
	m.mu.RUnlock()
	if s == nil {
		var code int32
		if s, code = newSeries(plugin, kind, name, labels); code != 0 {
			return nil, code
		}
		if s, code = m.insert(string(key), s); code != 0 {
			return nil, code
		}
	}
	if s.Kind != kind {
		return nil, invalid
	}
	return s, 0
}

func (m *Meter) insert(key string, s *Series) (*Series, int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if had := m.series[key]; had != nil {
		return had, 0
	}
	f := m.families[s.Name]
	switch {
	case m.counts[s.Plugin] == maxSeries:
		return nil, large
	case f == nil:
		f = &family{kind: s.Kind, labels: s.Labels}
	case f.kind != s.Kind || !slices.Equal(f.labels, s.Labels):
		return nil, invalid
	}
	if m.series == nil {
		m.series, m.families, m.counts = map[string]*Series{}, map[string]*family{}, map[string]int{}
	}
	f.series++
	m.families[s.Name], m.series[key] = f, s
	m.counts[s.Plugin]++
	return s, 0
}

func newSeries(plugin string, kind MetricKind, name, labels []byte) (*Series, int32) {
	s := &Series{Plugin: plugin, Name: string(name), Kind: kind}
	if !word(s.Name, maxMetricName) || reserved(s.Name) {
		return nil, invalid
	}
	for len(labels) > 0 {
		label, rest, ok := cutNUL(labels)
		value, rest, ok2 := cutNUL(rest)
		n := string(label)
		if !ok || !ok2 || !word(n, maxLabelName) || strings.HasPrefix(n, "__") || slices.Contains([]string{"plugin", "le", "quantile"}, n) ||
			slices.Contains(s.Labels, n) || !utf8.Valid(value) {
			return nil, invalid
		}
		if len(s.Labels) == maxLabels || len(value) > maxLabelValue {
			return nil, large
		}
		s.Labels, s.Values, labels = append(s.Labels, n), append(s.Values, string(value)), rest
	}
	if kind == Histogram {
		s.buckets = make([]atomic.Uint64, boundCount)
	}
	return s, 0
}

// reserved reports whether a name could be one of those that a histogram has.
func reserved(name string) bool {
	return strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_bucket")
}

// word reports whether s has letters in lower case, digits and underscores.
func word(s string, limit int) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
