package headgate_test

import (
	"encoding/hex"
	"testing"

	headgate "github.com/headgate/headgate/sdk/go"
	"github.com/headgate/headgate/sdk/go/headgatetest"
)

type verifies struct{ Keys string }

func (v *verifies) Request(x *headgate.Exchange) headgate.Verdict {
	c := x.Crypto()
	sum, err := c.Hash(headgate.SHA256, nil)
	if err != nil || hex.EncodeToString(sum[:4]) != "e3b0c442" {
		return x.Fail(err)
	}
	if _, err := c.HMAC(9, nil, nil); err != headgate.ErrCryptoInvalid {
		return x.Reply(500, "", "an algorithm that there is not")
	}
	key := c.Random(32)
	sealed, err := c.Seal(key, []byte("a"), []byte("b"))
	if err != nil || len(sealed) != 1+12+16 {
		return x.Fail(err)
	}
	if p, err := c.Open(key, sealed, []byte("b")); err != nil || !c.Equal(p, []byte("a")) {
		return x.Fail(err)
	}
	if _, err := c.Open(key, sealed, nil); err != headgate.ErrNotAuthentic {
		return x.Reply(500, "", "opened")
	}
	claims, err := c.VerifyJWS([]byte(v.Keys), x.Header.Get("x-token"), "ES256")
	if err != nil {
		return x.Reply(401, "", err.Error())
	}
	token, err := c.SignJWS([]byte(v.Keys), "ES256", claims)
	if err != nil || token != x.Header.Get("x-token") {
		return x.Fail(err)
	}
	return headgate.Continue
}

func TestCrypto(t *testing.T) {
	headgate.Register("verifies", func(c verifies) (headgate.Filter, error) { return &c, nil })
	f := headgatetest.New(t, "verifies", "{}")
	if x := f.Request("GET", "/", "x-token: "+headgatetest.Token("ES256", []byte("{}"))); x.Verdict != headgate.Continue {
		t.Error(x.Failure, x.ResponseBody())
	}
	for _, token := range []string{"", "a.b.c", headgatetest.Token("HS256", []byte("{}"))} {
		if x := f.Request("GET", "/", "x-token: "+token); x.Status() != 401 {
			t.Errorf("%q: %d", token, x.Status())
		}
	}
}
