// Package interop runs gRPC's interoperability tests through a gateway: their
// client, a built headgate, their server.
package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// The cases end the process when they fail, and say why.
func TestInterop(t *testing.T) {
	conn := dial(t, start(t, build(t), "upstream = upstream.b", serve(t)))
	client := testgrpc.NewTestServiceClient(conn)
	call := func(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context) {
		return func(ctx context.Context) { f(ctx, client) }
	}
	cases := []struct {
		name string
		run  func(context.Context)
	}{
		{"empty_unary", call(interop.DoEmptyUnaryCall)},
		{"large_unary", call(interop.DoLargeUnaryCall)},
		{"client_streaming", call(interop.DoClientStreaming)},
		{"server_streaming", call(interop.DoServerStreaming)},
		{"ping_pong", call(interop.DoPingPong)},
		{"empty_stream", call(interop.DoEmptyStream)},
		{"timeout_on_sleeping_server", call(interop.DoTimeoutOnSleepingServer)},
		{"cancel_after_begin", call(interop.DoCancelAfterBegin)},
		{"cancel_after_first_response", call(interop.DoCancelAfterFirstResponse)},
		{"custom_metadata", call(interop.DoCustomMetadata)},
		{"status_code_and_message", call(interop.DoStatusCodeAndMessage)},
		{"special_status_message", call(interop.DoSpecialStatusMessage)},
		{"unimplemented_method", func(ctx context.Context) { interop.DoUnimplementedMethod(ctx, conn) }},
		{"unimplemented_service", func(ctx context.Context) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			c.run(ctx)
		})
	}
}

// What the gateway answers by itself is an error of gRPC.
func TestErrors(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	program := build(t)
	for _, c := range []struct {
		name, action, upstream string
		timeout                time.Duration
		want                   codes.Code
	}{
		{"nothing listens", "upstream = upstream.b", "127.0.0.1:1", 10 * time.Second, codes.Unavailable},
		{"no answer in time", "upstream = upstream.b\n  timeout = \"200ms\"", silent.Addr().String(), 10 * time.Second, codes.DeadlineExceeded},
		{"the client's deadline", "upstream = upstream.b", silent.Addr().String(), 300 * time.Millisecond, codes.DeadlineExceeded},
		{"no route", "path = \"/none\"\n  upstream = upstream.b", silent.Addr().String(), 10 * time.Second, codes.Unimplemented},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := testgrpc.NewTestServiceClient(dial(t, start(t, program, c.action, c.upstream)))
			ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
			defer cancel()
			_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
			if got := status.Code(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		})
	}
}

// serve runs the server of the interoperability tests.
func serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// build makes the gateway.
func build(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "headgate")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/headgate")
	cmd.Dir = filepath.Join("..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// start runs a gateway with one route and returns its address.
func start(t *testing.T, program, action, upstream string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	text := fmt.Sprintf(`
listener "main" {
  grpc_web = true
  address = %q
}
upstream "b" {
  protocol = "h2c"
  endpoint %q {}
}
route "all" {
  %s
}
`, address, upstream, action)
	file := filepath.Join(t.TempDir(), "gateway.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "run", file)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			nc.Close()
			return address
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
