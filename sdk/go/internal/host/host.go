// Package host is what a plugin can ask of the gateway. In a plugin it is the
// functions that the gateway provides to the module; in a unit test it is a
// fake. It knows nothing of filters and configurations.
package host

// The header kinds.
const (
	Request uint32 = iota
	Response
	RequestTrailer
	ResponseTrailer
)

// The body kinds.
const (
	RequestBody uint32 = iota
	ResponseBody
	// Data is memory of the plugin's own, for functions that take a body too.
	Data
)

// The features.
const (
	BufferRequest uint32 = 1 << iota
	BufferResponse
	Trailers
)

// The kinds of values.
const (
	ValueNull int32 = iota + 1
	ValueBool
	ValueNumber
	ValueString
	ValueJSON
)

// Host is the gateway as one exchange sees it.
type Host interface {
	Values(kind uint32, name string) []string
	First(kind uint32, name string) (string, bool)
	All(kind uint32) [][2]string
	Set(kind uint32, name, value string)
	Add(kind uint32, name, value string)
	Remove(kind uint32, name string)

	Method() string
	SetMethod(string)
	URI() string
	SetURI(string)
	Protocol() string
	Source() string
	RequestID() string

	Status() int
	SetStatus(int)
	Body(kind uint32) []byte
	WriteBody(kind uint32, p []byte)

	// Fetch takes fields as names and values with a NUL behind each, and returns a
	// status or what is wrong as a negative number.
	Fetch(method, url, fields string, body []byte, timeoutMS uint32) (status int32, header [][2]string, answer []byte)

	// FetchMany takes requests as the ABI has them, and returns how many answers there
	// are, which FetchAnswer returns as Fetch does.
	FetchMany(requests []byte) int32
	FetchAnswer(i uint32) (status int32, header [][2]string, answer []byte)

	// The functions of state return a negative number for what is wrong.
	StateGet(namespace, key string) (value []byte, n int32)
	StateSet(namespace, key string, value []byte, ttlMS uint32) int32
	StateDelete(namespace, key string) int32
	StateSwap(namespace, key string, old []byte, absent bool, value []byte, ttlMS uint32) int32
	StateTake(namespace, key string, algorithm, events, windowMS, burst, cost uint32) (n int32, remaining, waitMS, resetMS uint32)

	// Value evaluates an expression of the configuration: kind and text, or a
	// negative number.
	Value(index uint32) (text []byte, kind int32)

	// JSONGet and JSONSet work on a body, or on data if source is Data. JSONSet
	// returns the new data, or only replaces the body.
	JSONGet(source uint32, data []byte, path string) (text []byte, kind int32)
	JSONSet(source uint32, data []byte, path string, value []byte, remove bool) (out []byte, n int32)
	JSONValid(source uint32, data []byte) bool

	// Identities and published data are JSON; a negative number says what is wrong.
	AuthGet() ([]byte, int32)
	AuthSet(identity []byte) int32
	Publish(data []byte) int32
	Published(name string) ([]byte, int32)

	// Metric takes labels as names and values with a NUL behind each.
	Metric(op uint32, name, labels string, v float64) int32

	// A negative length says what is wrong.
	XMLTokens(source uint32, data []byte) ([]byte, int32)
	XMLWrite(tokens []byte) ([]byte, int32)
	Template(escape uint32, text string, data []byte) ([]byte, int32)
	Hash(algorithm uint32, data []byte) ([]byte, int32)
	HMAC(algorithm uint32, key, data []byte) ([]byte, int32)
	Equal(a, b []byte) bool
	Random(p []byte)
	Seal(key, data, extra []byte) ([]byte, int32)
	Open(key, data, extra []byte) ([]byte, int32)
	VerifyJWS(keys, token []byte, algorithms string) ([]byte, int32)
	SignJWS(key []byte, algorithm string, payload []byte) ([]byte, int32)

	TraceAttribute(name, value string) int32

	LogEnabled(level int32) bool
	Log(level int32, message string)
	Fail(message string)
}
