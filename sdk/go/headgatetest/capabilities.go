package headgatetest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/internal/host"
)

// WithValues sets what the expressions of the configuration are, which has
// {"$expr": 0} for the first. One without a value fails.
func (f *Filter) WithValues(values ...any) *Filter {
	f.values = nil
	for _, v := range values {
		f.values = append(f.values, encode(v))
	}
	return f
}

// WithAuth sets who makes the requests. Without it a filter's allow.auth is not
// set.
func (f *Filter) WithAuth(a headgate.Auth) *Filter {
	f.auth = encode(a)
	return f
}

// WithPublished sets what a plugin or a policy published, which the filter may
// read.
func (f *Filter) WithPublished(name string, object any) *Filter {
	if f.published == nil {
		f.published = map[string][]byte{}
	}
	f.published[name] = encode(object)
	return f
}

// Auth returns who makes the request as the filter said.
func (e *Exchange) Auth() headgate.Auth {
	var a headgate.Auth
	_ = json.Unmarshal(e.h.auth, &a) // it was encoded by us
	return a
}

// Published returns what the filter published, as JSON, or "".
func (e *Exchange) Published() string { return string(e.h.published) }

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic("headgatetest: " + err.Error())
	}
	return p
}

// StateGet implements host.Host: in a test every namespace is granted, and values
// live as long as the filter.
func (f *fake) StateGet(namespace, key string) ([]byte, int32) {
	v, ok := f.e.f.kept[[2]string{namespace, key}]
	if !ok {
		return nil, -1
	}
	return slices.Clone(v), int32(len(v))
}

// StateSet implements host.Host.
func (f *fake) StateSet(namespace, key string, value []byte, _ uint32) int32 {
	if f.e.f.kept == nil {
		f.e.f.kept = map[[2]string][]byte{}
	}
	f.e.f.kept[[2]string{namespace, key}] = slices.Clone(value)
	return 0
}

// StateDelete implements host.Host.
func (f *fake) StateDelete(namespace, key string) int32 {
	if _, ok := f.e.f.kept[[2]string{namespace, key}]; !ok {
		return 0
	}
	delete(f.e.f.kept, [2]string{namespace, key})
	return 1
}

// StateSwap implements host.Host.
func (f *fake) StateSwap(namespace, key string, old []byte, absent bool, value []byte, ttlMS uint32) int32 {
	have, ok := f.e.f.kept[[2]string{namespace, key}]
	if ok == absent || ok && !bytes.Equal(have, old) {
		return 0
	}
	f.StateSet(namespace, key, value, ttlMS)
	return 1
}

// StateTake implements host.Host: it counts up to the burst, and nothing comes
// back.
func (f *fake) StateTake(namespace, key string, _, events, _, burst, cost uint32) (int32, uint32, uint32, uint32) {
	if events == 0 {
		return -4, 0, 0, 0
	}
	if f.e.f.taken == nil {
		f.e.f.taken = map[[2]string]uint32{}
	}
	used, most := f.e.f.taken[[2]string{namespace, key}], max(events, burst)
	if used+cost > most {
		return 0, most - used, 1000, 1000
	}
	f.e.f.taken[[2]string{namespace, key}] = used + cost
	return 1, most - used - cost, 0, 1000
}

// Value implements host.Host.
func (f *fake) Value(index uint32) ([]byte, int32) {
	if int(index) >= len(f.e.f.values) {
		f.Fail("the expression has no value")
		return nil, -4
	}
	return host.Kind(f.e.f.values[index])
}

// AuthGet implements host.Host.
func (f *fake) AuthGet() ([]byte, int32) {
	if f.auth == nil {
		return nil, -2
	}
	return f.auth, int32(len(f.auth))
}

// AuthSet implements host.Host.
func (f *fake) AuthSet(identity []byte) int32 {
	if f.auth == nil {
		return -2
	}
	members, update := map[string]any{}, map[string]any{}
	if json.Unmarshal(f.auth, &members) != nil || json.Unmarshal(identity, &update) != nil {
		return -4
	}
	for k, v := range update {
		members[k] = v
	}
	f.auth = encode(members)
	return 0
}

// Publish implements host.Host.
func (f *fake) Publish(data []byte) int32 {
	if !bytes.HasPrefix(data, []byte("{")) {
		return -4
	}
	f.published = slices.Clone(data)
	return 0
}

// Published implements host.Host.
func (f *fake) Published(name string) ([]byte, int32) {
	p, ok := f.e.f.published[name]
	if !ok {
		return nil, -2
	}
	return p, int32(len(p))
}

// Metric returns the value of a metric, or the sum of a histogram, over all
// exchanges of the filter, by the values of its labels.
func (f *Filter) Metric(name string, values ...string) float64 {
	return f.metrics[strings.Join(append([]string{name}, values...), "\x00")]
}

// Metric implements host.Host.
func (f *fake) Metric(op uint32, name, labels string, v float64) int32 {
	const gaugeSet = 1
	key := name
	for texts := strings.Split(labels, "\x00"); len(texts) > 2; texts = texts[2:] {
		key += "\x00" + texts[1]
	}
	if f.e.f.metrics == nil {
		f.e.f.metrics = map[string]float64{}
	}
	if op == gaugeSet {
		f.e.f.metrics[key] = 0
	}
	f.e.f.metrics[key] += v
	return 0
}

// TraceAttribute implements host.Host.
func (f *fake) TraceAttribute(name, value string) int32 {
	if f.e.Attributes == nil {
		f.e.Attributes = map[string]string{}
	}
	f.e.Attributes[name] = value
	return 0
}
