package upstream

import "testing"

func TestParseOrigin(t *testing.T) {
	for _, c := range []struct {
		text, address string
		secure        bool
	}{
		{"https://IDP.example.com", "IDP.example.com:443", true}, {"http://a:8080/", "a:8080", false}, {"https://[::1]", "[::1]:443", true},
		{"https://a/b", "", false}, {"https://u:p@a", "", false}, {"https://", "", false}, {"a", "", false}, {"ftp://a", "", false}, {"https://a?b", "", false},
	} {
		o, err := ParseOrigin(c.text)
		if o.Address != c.address || (err == nil) != (c.address != "") || err == nil && (o.Config().TLS != nil) != c.secure {
			t.Errorf("%s: %+v %v", c.text, o, err)
		}
	}
}
