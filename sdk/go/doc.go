// Package headgate is the Go SDK for plugins of the Headgate API gateway.
//
// A plugin is a filter with a configuration type. It registers the filter in an
// init function, and its main is empty:
//
//	type Config struct {
//		// Header to read the country from.
//		Header string `headgate:"header,required"`
//	}
//
//	type filter struct{ cfg Config }
//
//	func init() {
//		headgate.Register("geo", func(c Config) (headgate.Filter, error) { return &filter{c}, nil })
//	}
//
//	func main() {}
//
//	func (f *filter) Request(x *headgate.Exchange) headgate.Verdict {
//		if x.Header.Get(f.cfg.Header) == "" {
//			return x.Reply(400, "text/plain", "no country\n")
//		}
//		return headgate.Continue
//	}
//
// Build it with the standard toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -ldflags='-s -w' -buildmode=c-shared -o geo.wasm .
//
// A filter must not start goroutines that outlive a call, and must not block:
// nothing runs in the module between calls. Unit tests run natively with package
// headgatetest.
package headgate
