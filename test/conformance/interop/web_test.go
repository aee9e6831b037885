package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

const service = "/grpc.testing.TestService/"

// webClients are the HTTP clients of a caller of gRPC-Web.
func webClients(t *testing.T) map[string]*http.Client {
	clients := map[string]*http.Client{}
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		tr := &http.Transport{Protocols: &http.Protocols{}}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetUnencryptedHTTP2(h2)
		t.Cleanup(tr.CloseIdleConnections)
		clients[name] = &http.Client{Transport: tr, Timeout: 20 * time.Second}
	}
	return clients
}

// A server that speaks gRPC only is called by a client of gRPC-Web.
func TestWeb(t *testing.T) {
	base := "http://" + start(t, build(t), "upstream = upstream.b", serve(t))
	for name, hc := range webClients(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			unary := connect.NewClient[testgrpc.SimpleRequest, testgrpc.SimpleResponse](hc, base+service+"UnaryCall", connect.WithGRPCWeb())
			for _, size := range []int32{0, 1, 300_000} {
				res, err := unary.CallUnary(ctx, connect.NewRequest(&testgrpc.SimpleRequest{
					ResponseSize: size, Payload: &testgrpc.Payload{Body: make([]byte, size)},
				}))
				if err != nil || len(res.Msg.GetPayload().GetBody()) != int(size) {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			_, err := unary.CallUnary(ctx, connect.NewRequest(&testgrpc.SimpleRequest{
				ResponseStatus: &testgrpc.EchoStatus{Code: 9, Message: "no \u2603 here"},
			}))
			if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "no \u2603 here") {
				t.Errorf("an error of the server: %v", err)
			}
			stream, err := connect.NewClient[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](hc, base+service+"StreamingOutputCall", connect.WithGRPCWeb()).
				CallServerStream(ctx, connect.NewRequest(&testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{
					{Size: 10}, {Size: 100_000, IntervalUs: 50_000}, {Size: 3, IntervalUs: 50_000},
				}}))
			if err != nil {
				t.Fatal(err)
			}
			var sizes []int
			for stream.Receive() {
				sizes = append(sizes, len(stream.Msg().GetPayload().GetBody()))
			}
			if stream.Err() != nil || len(sizes) != 3 || sizes[0] != 10 || sizes[1] != 100_000 || sizes[2] != 3 {
				t.Errorf("a stream of %v: %v", sizes, stream.Err())
			}
			stream.Close()
			none := connect.NewClient[testgrpc.Empty, testgrpc.Empty](hc, base+service+"UnimplementedCall", connect.WithGRPCWeb())
			if _, err := none.CallUnary(ctx, connect.NewRequest(&testgrpc.Empty{})); connect.CodeOf(err) != connect.CodeUnimplemented {
				t.Errorf("an answer that is trailers only: %v", err)
			}
		})
	}
}

// The text mode, as browsers use it that can't read binary streams.
func TestWebText(t *testing.T) {
	base := "http://" + start(t, build(t), "upstream = upstream.b", serve(t))
	message := []byte{0, 0, 0, 0, 2, 16, 4} // response_size: 4
	for name, hc := range webClients(t) {
		t.Run(name, func(t *testing.T) {
			ask := base64.StdEncoding.EncodeToString(message[:5]) + base64.StdEncoding.EncodeToString(message[5:])
			res, err := hc.Post(base+service+"UnaryCall", "application/grpc-web-text+proto", strings.NewReader(ask))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/grpc-web-text+proto" {
				t.Fatal(res.Status, res.Header, err)
			}
			var got []byte
			for len(text) >= 4 { // each part is padded
				p, err := base64.StdEncoding.DecodeString(string(text[:4]))
				if err != nil {
					t.Fatal(err)
				}
				got, text = append(got, p...), text[4:]
			}
			want := []byte{0, 0, 0, 0, 8, 10, 6, 18, 4, 0, 0, 0, 0}
			if !bytes.HasPrefix(got, want) || !bytes.HasPrefix(got[len(want):], []byte{0x80, 0, 0}) || !bytes.Contains(got, []byte("grpc-status: 0\r\n")) {
				t.Errorf("got %q", got)
			}
		})
	}
}
