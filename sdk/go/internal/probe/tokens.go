package main

import (
	"encoding/json"
	"strings"

	headgate "github.com/headgate/headgate/sdk/go"
)

// tokens says who the caller is by a token, as a filter for JWTs does.
type tokens struct {
	Keys       string
	Algorithms []string
	// Spin verifies so many times.
	Spin int
}

// Request implements headgate.Filter.
func (c *tokens) Request(x *headgate.Exchange) headgate.Verdict {
	token, ok := strings.CutPrefix(x.Header.Get("authorization"), "Bearer ")
	if !ok {
		return x.Reply(401, "", "")
	}
	var payload []byte
	var err error
	for range max(c.Spin, 1) {
		payload, err = x.Crypto().VerifyJWS([]byte(c.Keys), token, c.Algorithms...)
	}
	if err != nil {
		return x.Reply(403, "text/plain", err.Error())
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return x.Reply(403, "", "")
	}
	subject, _ := claims["iss"].(string)
	if err := x.SetAuth(headgate.Auth{Subject: subject, Claims: claims}); err != nil {
		return x.Fail(err)
	}
	return headgate.Continue
}
