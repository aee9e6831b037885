package policies

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// BundleSpec says where rules and data come from. It is comparable.
type BundleSpec struct {
	// URL is http or https, or a file.
	URL string
	// Token is sent as a bearer token if it is not "".
	Token string
	// Poll is how often a new bundle is asked for; 0: every 30 seconds.
	Poll time.Duration
	// LongPoll is how long a server that can may wait for a new bundle before it
	// answers; 0: it is not asked to.
	LongPoll time.Duration
	// Key verifies the bundle's signature: a public key in PEM, or a secret for
	// an HMAC; "": a bundle must not be signed. Scope has to be that of the
	// signature if it is not "". Algorithm is RS256 if it is "".
	Key, Scope, Algorithm string
}

// keyID stands for the one key there is, whatever the signature calls it.
const keyID = "headgate"

// maxBundle bounds a bundle as it is sent, and each of its files.
const maxBundle = 256 << 20

// activation is a bundle that was read and verified.
type activation struct {
	name   string
	bundle *bundle.Bundle
}

// readBundle reads and verifies a bundle. Its rules may use no builtin that is
// not granted; that is found when they are compiled.
func (s *BundleSpec) readBundle(raw []byte, etag string) (*activation, error) {
	r := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(raw), "")).
		WithRegoVersion(ast.RegoV1).WithSizeLimitBytes(maxBundle).WithBundleEtag(etag)
	if s.Key != "" {
		algorithm := s.Algorithm
		if algorithm == "" {
			algorithm = "RS256"
		}
		r = r.WithBundleVerificationConfig(bundle.NewVerificationConfig(
			map[string]*bundle.KeyConfig{keyID: {Key: s.Key, Algorithm: algorithm, Scope: s.Scope}}, keyID, s.Scope, nil))
	}
	b, err := r.Read()
	if err != nil {
		return nil, &Error{File: s.URL, Message: "this is no bundle that can be used: " + err.Error()}
	}
	if b.Type() == bundle.DeltaBundleType {
		return nil, &Error{File: s.URL, Message: "this is a delta bundle; only whole ones are known"}
	}
	return &activation{name: s.URL, bundle: &b}, nil
}

// CheckKey reports whether a text is a public key for bundles.
func CheckKey(text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("it is no PEM")
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return nil
	}
	_, err := x509.ParseCertificate(block.Bytes)
	return err
}

// join adds what the bundle has.
func (a *activation) join(modules map[string]*ast.Module, data map[string]any) error {
	for _, m := range a.bundle.Modules {
		modules[a.name+": "+m.Path] = m.Parsed
	}
	// A program's data is its own: merging would otherwise change the bundle's.
	own, err := copied(a.bundle.Data)
	if err != nil {
		return err
	}
	if at := merge(data, own, "data"); at != "" {
		return &Error{File: a.name, Message: at + " is already in another data file"}
	}
	return nil
}

func copied(data map[string]any) (map[string]any, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("data of the bundle: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	out := map[string]any{}
	return out, d.Decode(&out)
}
