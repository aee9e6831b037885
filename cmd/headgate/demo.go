package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/headgate/headgate/cmd/headgate/internal/demo"
)

const demoUsage = `Run the backends of the examples: three small HTTP services on loopback.

  headgate demo
  headgate demo -orders 127.0.0.1:0 -try examples/quickstart/TRY.txt

Flags:
`

// runDemo serves the demo backends until ctx ends or the process is told to
// stop.
func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := demo.Defaults()
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&a.Orders, "orders", a.Orders, "`address` of the orders service")
	fs.StringVar(&a.Users, "users", a.Users, "`address` of the users service")
	fs.StringVar(&a.Stock, "stock", a.Stock, "`address` of the SOAP service of stock")
	try := fs.String("try", "", "print this `file` after the addresses: what to try")
	out := stderr
	fs.Usage = func() {
		fmt.Fprint(out, demoUsage)
		fs.SetOutput(out)
		fs.PrintDefaults()
	}
	for _, arg := range args {
		if arg == "-h" || arg == "-help" || arg == "--help" {
			out = stdout
		}
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "headgate demo takes no arguments, only flags; %q is too much\n", fs.Arg(0))
		return 2
	}
	var hints []byte
	if *try != "" {
		var err error
		if hints, err = os.ReadFile(*try); err != nil {
			fmt.Fprintln(stderr, "headgate demo:", err)
			return 1
		}
	}

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := demo.Start(a)
	if err != nil {
		fmt.Fprintln(stderr, "headgate demo:", err)
		return 3
	}
	a = b.Addresses()
	fmt.Fprintf(stdout, "demo backends are running:\n  orders  http://%s/orders  (also /echo, /events, /ws)\n  users   http://%s/users\n  stock   http://%s/StockService?wsdl\n",
		a.Orders, a.Users, a.Stock)
	if len(hints) > 0 {
		fmt.Fprintf(stdout, "\n%s", hints)
	}
	<-ctx.Done()
	stop() // a second signal ends the process at once

	drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.Stop(drain); err != nil {
		fmt.Fprintln(stderr, "headgate demo:", err)
		return 3
	}
	return 0
}
