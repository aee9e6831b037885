package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*Backends, *http.Client) {
	t.Helper()
	b, err := Start(Addresses{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return b, &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func do(t *testing.T, c *http.Client, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(p)
}

func TestREST(t *testing.T) {
	b, c := start(t)
	orders, users := "http://"+b.Addresses().Orders, "http://"+b.Addresses().Users
	for _, tt := range []struct {
		name, method, url, body, contentType string
		status                               int
		wantType, contains                   string
	}{
		{"list", "GET", orders + "/orders", "", "", 200, "application/json", `"id":"1002"`},
		{"list of one user", "GET", orders + "/orders?user=u1", "", "", 200, "application/json", `[{"id":"1001"`},
		{"list of nobody", "GET", orders + "/orders?user=u9", "", "", 200, "application/json", `[]`},
		{"one", "GET", orders + "/orders/1001", "", "", 200, "application/json", `"status":"shipped"`},
		{"none", "GET", orders + "/orders/7", "", "", 404, "application/problem+json", `there is no order \"7\"`},
		{"nowhere", "GET", orders + "/nowhere", "", "", 404, "application/problem+json", `nothing at /nowhere`},
		{"delete", "DELETE", orders + "/orders/1001", "", "", 405, "application/problem+json", `"status":405`},
		{"create", "POST", orders + "/orders", `{"user":"u3","items":[{"sku":"NUT-M8","quantity":2}]}`, "application/json; charset=utf-8", 201, "application/json", `"id":"1003","user":"u3","status":"open"`},
		{"created", "GET", orders + "/orders/1003", "", "", 200, "application/json", `"sku":"NUT-M8"`},
		{"create: type", "POST", orders + "/orders", `{}`, "text/plain", 415, "application/problem+json", "send application/json"},
		{"create: no JSON", "POST", orders + "/orders", `{`, "application/json", 400, "application/problem+json", "no order"},
		{"create: two values", "POST", orders + "/orders", `{} {}`, "application/json", 400, "application/problem+json", "more than one"},
		{"create: unknown member", "POST", orders + "/orders", `{"usr":"u1"}`, "application/json", 400, "application/problem+json", "usr"},
		{"create: not complete", "POST", orders + "/orders", `{"items":[{"sku":"A","quantity":1},{"quantity":0}]}`, "application/json", 422, "application/problem+json", `"pointer":"/items/1/quantity"`},
		{"create: too large", "POST", orders + "/orders", `{"user":"` + strings.Repeat("x", maxBody) + `"}`, "application/json", 413, "application/problem+json", "too large"},
		{"users", "GET", users + "/users", "", "", 200, "application/json", `"name":"Ada Byron"`},
		{"user", "GET", users + "/users/u2", "", "", 200, "application/json", `"roles":["reader"]`},
		{"no user", "GET", users + "/users/u9", "", "", 404, "application/problem+json", `no user`},
		{"users: write", "POST", users + "/users", "", "", 405, "application/problem+json", `"status":405`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := do(t, c, tt.method, tt.url, tt.body, "Content-Type", tt.contentType)
			if res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.wantType || !strings.Contains(body, tt.contains) {
				t.Errorf("%d %s %s", res.StatusCode, res.Header.Get("Content-Type"), body)
			}
			if tt.status == 201 && res.Header.Get("Location") != "/orders/1003" {
				t.Errorf("location %q", res.Header.Get("Location"))
			}
			if tt.status == 405 && res.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestEcho(t *testing.T) {
	b, c := start(t)
	res, body := do(t, c, "PUT", "http://"+b.Addresses().Orders+"/echo?a=1", "hello", "X-One", "1")
	var got struct {
		Method, Path, Query, Body string
		Headers                   map[string]string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 {
		t.Fatal(err, body)
	}
	if got.Method != "PUT" || got.Path != "/echo" || got.Query != "a=1" || got.Body != "hello" || got.Headers["x-one"] != "1" || got.Headers["host"] != b.Addresses().Orders {
		t.Errorf("%+v", got)
	}
}

func TestSOAP(t *testing.T) {
	b, c := start(t)
	url := "http://" + b.Addresses().Stock + stockPath
	call := func(body string) string {
		return `<?xml version="1.0"?><s:Envelope xmlns:s="` + soapNS + `"><s:Header/><s:Body>` + body + `</s:Body></s:Envelope>`
	}
	get := func(sku string) string {
		return call(`<q:GetStock xmlns:q="` + stockNS + `"><q:sku>` + sku + `</q:sku></q:GetStock>`)
	}
	for _, tt := range []struct {
		name, body, contentType string
		status                  int
		contains                string
	}{
		{"in stock", get("BOLT-M8"), "text/xml; charset=utf-8", 200, `<quantity>4200</quantity><price currency="EUR">0.12</price><location>Berlin</location><location>Lyon</location><restock xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>`},
		{"sold out", get(" GEAR-12 "), "text/xml", 200, `<restock>2026-09-01</restock>`},
		{"unknown", get("A&lt;B"), "text/xml", 500, `<faultcode>soap:Client</faultcode><faultstring>no such article</faultstring><detail><UnknownArticle xmlns="urn:example:stock"><sku>A&lt;B</sku>`},
		{"no sku", call(`<GetStock xmlns="` + stockNS + `"/>`), "text/xml", 500, "takes one sku"},
		{"other operation", call(`<SetStock xmlns="` + stockNS + `"/>`), "text/xml", 500, "no operation SetStock"},
		{"other namespace", call(`<GetStock/>`), "text/xml", 500, "no operation GetStock"},
		{"SOAP 1.2", strings.ReplaceAll(get("BOLT-M8"), soapNS, "http://www.w3.org/2003/05/soap-envelope"), "text/xml", 500, "soap:VersionMismatch"},
		{"must understand", strings.Replace(get("BOLT-M8"), "<s:Header/>", `<s:Header><x s:mustUnderstand="1"/></s:Header>`, 1), "text/xml", 500, "soap:MustUnderstand"},
		{"JSON", `{}`, "application/json", 500, "text/xml"},
		{"broken", "<a>", "text/xml", 500, "no well-formed envelope"},
		{"a document type", `<!DOCTYPE x [<!ENTITY e "e">]>` + get("BOLT-M8"), "text/xml", 500, "document type"},
		{"empty", call(""), "text/xml", 500, "one call"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := do(t, c, "POST", url, tt.body, "Content-Type", tt.contentType, "SOAPAction", `"urn:example:stock#GetStock"`)
			if res.StatusCode != tt.status || res.Header.Get("Content-Type") != "text/xml; charset=utf-8" || !strings.Contains(body, tt.contains) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if err := wellFormed(body); err != nil {
				t.Error(err)
			}
		})
	}
	if _, body := do(t, c, "POST", url, get("BOLT-M8"), "Content-Type", "text/xml"); !strings.Contains(body, "SOAPAction field is missing") {
		t.Errorf("without SOAPAction: %s", body)
	}
	res, body := do(t, c, "GET", url+"?wsdl", "")
	if res.StatusCode != 200 || !strings.Contains(body, `location="`+url+`"`) || wellFormed(body) != nil {
		t.Errorf("wsdl: %d %s", res.StatusCode, body)
	}
	if res, _ := do(t, c, "GET", url, ""); res.StatusCode != 405 {
		t.Errorf("GET: %d", res.StatusCode)
	}
}

func wellFormed(s string) error {
	d := xml.NewDecoder(strings.NewReader(s))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// TestStreams: events and WebSockets flow, and stopping ends both.
func TestStreams(t *testing.T) {
	b, c := start(t)
	res, err := c.Get("http://" + b.Addresses().Orders + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("content type %s", ct)
	}
	events := bufio.NewReader(res.Body)
	for _, want := range []string{"id: 1\n", "event: tick\n", "data: {\"n\":1}\n", "\n", "id: 2\n"} {
		if line, err := events.ReadString('\n'); line != want {
			t.Fatalf("got %q (%v), want %q", line, err, want)
		}
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+b.Addresses().Orders+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, p, err := ws.Read(ctx); err != nil || string(p) != "hello" {
		t.Fatalf("%q %v", p, err)
	}

	begin := time.Now()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("stopping took %v", d)
	}
	if _, _, err := ws.Read(ctx); err == nil {
		t.Error("the WebSocket lives")
	}
	if _, err := io.ReadAll(events); err != nil && ctx.Err() != nil {
		t.Errorf("the event stream did not end: %v", err)
	}
}

func TestStartLeavesNothingBehind(t *testing.T) {
	b, _ := start(t)
	if _, err := Start(Addresses{"127.0.0.1:0", "127.0.0.1:0", b.Addresses().Stock}); err == nil || !strings.Contains(err.Error(), "the stock backend") {
		t.Errorf("error %v", err)
	}
}
