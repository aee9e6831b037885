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
)

// The features.
const (
	BufferRequest uint32 = 1 << iota
	BufferResponse
	Trailers
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

	LogEnabled(level int32) bool
	Log(level int32, message string)
	Fail(message string)
}
