package native

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestHashes(t *testing.T) {
	c := newCaller(t, &Env{})
	for algorithm, want := range map[int]string{ // of "abc", FIPS 180-4 and RFC 1321
		0: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		1: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		2: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		3: "a9993e364706816aba3e25717850c26c9cd0d89d",
		4: "900150983cd24fb0d6963f7d28e17f72",
	} {
		if _, got := c.call("hash", algorithm, "abc"); hex.EncodeToString([]byte(got)) != want {
			t.Errorf("%d: got %x", algorithm, got)
		}
	}
	// RFC 4231 section 4.3, and RFC 2202 section 3.
	if _, got := c.call("hmac", 0, "Jefe", "what do ya want for nothing?"); hex.EncodeToString([]byte(got)) != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Errorf("HMAC: %x", got)
	}
	if _, got := c.call("hmac", 3, "Jefe", "what do ya want for nothing?"); hex.EncodeToString([]byte(got)) != "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" {
		t.Errorf("HMAC: %x", got)
	}
	for _, name := range []string{"hash", "hmac"} {
		args := []any{5, "abc"}
		if name == "hmac" {
			args = append(args, "k")
		}
		if n, _ := c.call(name, args...); n != invalid {
			t.Errorf("%s of no algorithm: %d", name, n)
		}
	}
	if n, _ := c.call("hash", 2, "abc", 0, 10); n != 64 {
		t.Errorf("without room: %d", n)
	}
	if same, _ := c.call("equal", "abc", "abc"); same != 1 {
		t.Error("equal")
	}
	for _, other := range []string{"abd", "ab", ""} {
		if same, _ := c.call("equal", "abc", other); same != 0 {
			t.Errorf("%q is equal", other)
		}
	}
	c.call("random", callerArea, 16)
	first, _ := c.g.mem.Read(callerArea, 16)
	was := string(first)
	c.call("random", callerArea, 16)
	if string(first) == was {
		t.Error("random is the same twice")
	}
}

func TestSeal(t *testing.T) {
	c := newCaller(t, &Env{})
	key := strings.Repeat("k", 32)
	_, sealed := c.call("seal", key, "secret", "extra")
	_, again := c.call("seal", key, "secret", "extra")
	if len(sealed) != 12+6+16 || sealed == again {
		t.Fatalf("sealed %x and %x", sealed, again)
	}
	if n, got := c.call("open", key, sealed, "extra"); n != 6 || got != "secret" {
		t.Errorf("opened %d %q", n, got)
	}
	for name, args := range map[string][]any{
		"another key": {strings.Repeat("x", 32), sealed, "extra"}, "another extra": {key, sealed, ""},
		"a changed byte": {key, sealed[:20] + "x" + sealed[21:], "extra"}, "short": {key, sealed[:10], "extra"}, "nothing": {key, "", "extra"},
	} {
		if n, _ := c.call("open", args...); n != absent {
			t.Errorf("%s: %d", name, n)
		}
	}
	for _, k := range []string{"", "short", strings.Repeat("k", 33)} {
		if n, _ := c.call("seal", k, "secret", ""); n != invalid {
			t.Errorf("a key of %d: %d", len(k), n)
		}
		if n, _ := c.call("open", k, sealed, ""); n != invalid {
			t.Errorf("a key of %d: %d", len(k), n)
		}
	}
	if n, _ := c.call("seal", key, "secret", "", callerArea, 10); n != 34 {
		t.Errorf("without room: %d", n)
	}
}

// The keys and tokens of RFC 7515 appendix A.1 and A.3, and RFC 8037 appendix A.4.
const (
	hmacKey   = `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`
	hmacToken = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	ecKey     = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	ecPrivate = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	ecToken   = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	edKey     = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	edToken   = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

func TestJWS(t *testing.T) {
	c := newCaller(t, &Env{Keys: &KeySets{}})
	set := `{"keys":[` + hmacKey + "," + ecKey + "," + edKey + `]}`
	for name, v := range map[string]struct {
		keys, token, algorithms string
		n                       int64
	}{
		"HS256":                     {hmacKey, hmacToken, "HS256", 70},
		"ES256":                     {ecKey, ecToken, "", 70},
		"ES256 by name":             {ecKey, ecToken, "RS256, ES256", 70},
		"EdDSA":                     {edKey, edToken, "", 26},
		"of a set":                  {set, ecToken, "", 70},
		"with the private key":      {ecPrivate, ecToken, "", 70},
		"HS256 is not taken unless": {set, hmacToken, "", absent},
		"another algorithm":         {ecKey, ecToken, "ES384", absent},
		"another key":               {edKey, ecToken, "", absent},
		"a use":                     {strings.Replace(ecKey, "{", `{"use":"enc",`, 1), ecToken, "", absent},
		"an algorithm of the key":   {strings.Replace(ecKey, "{", `{"alg":"ES512",`, 1), ecToken, "", absent},
		"a changed payload":         {ecKey, strings.Replace(ecToken, ".eyJpc3", ".eyJpc2", 1), "", absent},
		"no signature":              {ecKey, ecToken[:strings.LastIndex(ecToken, ".")+1], "", absent},
		"none":                      {ecKey, "eyJhbGciOiJub25lIn0.e30.", "none", absent},
		"crit":                      {hmacKey, "eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYSJdfQ.e30.AAAA", "HS256", absent},
		"not a token":               {ecKey, "a.b", "", absent},
		"nothing":                   {ecKey, "", "", absent},
		"not a key":                 {"key", ecToken, "", invalid},
		"no keys":                   {`{"keys":[]}`, ecToken, "", invalid},
		"nested":                    {strings.Repeat("[", 2000), ecToken, "", invalid},
	} {
		n, payload := c.call("jws_verify", v.keys, v.token, v.algorithms)
		if n != v.n || n > 0 && !strings.HasPrefix(payload, `{"iss":"joe"`) && payload != "Example of Ed25519 signing" {
			t.Errorf("%s: %d %q", name, n, payload)
		}
	}
	for _, k := range []struct{ key, algorithm string }{{ecPrivate, "ES256"}, {hmacKey, "HS256"}, {hmacKey, "HS512"}} {
		n, token := c.call("jws_sign", k.key, k.algorithm, `{"sub":"ada"}`)
		if n <= 0 {
			t.Errorf("%s: %d", k.algorithm, n)
			continue
		}
		if n, payload := c.call("jws_verify", k.key, token, k.algorithm); n != 13 || payload != `{"sub":"ada"}` {
			t.Errorf("%s: %d %q", k.algorithm, n, payload)
		}
	}
	for _, k := range []struct{ key, algorithm string }{{ecKey, "ES256"}, {ecPrivate, "RS256"}, {ecPrivate, "ES384"}, {hmacKey, "none"}, {hmacKey, ""}, {set, "HS256"}, {"", "HS256"}} {
		if n, token := c.call("jws_sign", k.key, k.algorithm, "{}"); n != invalid {
			t.Errorf("%.20s %s: %d %s", k.key, k.algorithm, n, token)
		}
	}
}

func TestJWSWithPEM(t *testing.T) {
	c := newCaller(t, &Env{Keys: &KeySets{}})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for _, algorithm := range []string{"RS256", "PS512"} {
		_, token := c.call("jws_sign", text("PRIVATE KEY", private), algorithm, "a payload")
		if n, payload := c.call("jws_verify", text("PUBLIC KEY", public), token, ""); n != 9 || payload != "a payload" {
			t.Errorf("%s: %d %q", algorithm, n, payload)
		}
	}
	if n, _ := c.call("jws_verify", fmt.Sprintf(`{"kty":"RSA","e":"AQAB","n":%q}`, strings.Repeat("_", 2000)), ecToken, ""); n != invalid {
		t.Errorf("a key of 12,000 bits: %d", n)
	}
}
