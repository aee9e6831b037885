package source

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry"
)

// Ref is where a module comes from.
type Ref struct {
	// Text is as it was written, and the name in the lock file.
	Text string
	// SHA256 of the module in lower-case hexadecimal digits; "" if any will do,
	// which it won't for a URL.
	SHA256 string
	// Key must have signed the image; nil: nobody needs to. It is for registries.
	Key *Key

	url   *url.URL           // nil: an image
	image registry.Reference // of a registry
}

// Remote reports whether a source is one that this package gets, rather than the
// path of a file.
func Remote(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && scheme != "file"
}

// Parse understands https://HOST/PATH and oci://REGISTRY/REPOSITORY with :TAG,
// @sha256:DIGEST, both, or none, which means :latest.
func Parse(text string) (Ref, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	switch scheme {
	case "https":
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return Ref{}, fmt.Errorf("%q is not a URL", text)
		}
		if u.User != nil {
			return Ref{}, errors.New("a URL may not hold a password")
		}
		return Ref{Text: text, url: u}, nil
	case "oci":
		image, err := registry.ParseReference(rest)
		if err != nil {
			return Ref{}, fmt.Errorf("%q is not the name of an image, such as oci://registry.example.com/filters/geo:v1", text)
		}
		if image.Reference == "" {
			image.Reference = "latest"
		}
		return Ref{Text: text, image: image}, nil
	}
	return Ref{}, fmt.Errorf("a module comes from a path, https://... or oci://..., not from %s://", scheme)
}

// URL reports whether the source is a URL, which needs SHA256.
func (r *Ref) URL() bool { return r.url != nil }

// loopback reports whether a registry is on this machine. Those are asked in the
// clear, as other clients of registries do.
func loopback(registry string) bool {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = registry
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
