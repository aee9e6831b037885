package headgate

import (
	"encoding/json"
	"errors"
)

// Auth is who makes a request, as the filters before found out. Expressions read it
// as auth.subject, auth.consumer and auth.claims.
type Auth struct {
	Subject  string         `json:"subject,omitempty"`
	Consumer string         `json:"consumer,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
}

// The errors of Auth and of published data.
var (
	ErrAuthDenied       = errors.New("allow.auth is not set")
	ErrPublishedDenied  = errors.New("allow.call does not name it")
	ErrPublishedInvalid = errors.New("not a JSON object, or a name with control characters")
	ErrPublishedLarge   = errors.New("more than 64 KiB")
)

// Auth returns who makes the request. The plugin's allow.auth has to be true.
func (x *Exchange) Auth() (Auth, error) {
	var a Auth
	p, n := x.host.AuthGet()
	if err := publishedError(n, ErrAuthDenied); err != nil {
		return a, err
	}
	return a, json.Unmarshal(p, &a)
}

// SetAuth says who makes the request, for the filters that follow. Members that
// are empty stay as they are. The plugin's allow.auth has to be true.
func (x *Exchange) SetAuth(a Auth) error {
	p, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return publishedError(x.host.AuthSet(p), ErrAuthDenied)
}

// Publish gives the filters that follow, policies and the log an object under the
// plugin's name. It replaces what the plugin published for this exchange before.
func (x *Exchange) Publish(object any) error {
	p, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return publishedError(x.host.Publish(p), nil)
}

// Published reads into v what a plugin or a policy published for this exchange; ok
// is false if it did not. The plugin's allow.call has to name it.
func (x *Exchange) Published(name string, v any) (ok bool, err error) {
	p, n := x.host.Published(name)
	if n == -1 {
		return false, nil
	}
	if err := publishedError(n, ErrPublishedDenied); err != nil {
		return false, err
	}
	return true, json.Unmarshal(p, v)
}

func publishedError(n int32, denied error) error {
	switch n {
	case -2:
		return denied
	case -3:
		return ErrPublishedLarge
	case -4:
		return ErrPublishedInvalid
	}
	return nil
}
