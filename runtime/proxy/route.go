package proxy

import (
	"net/netip"
	"time"

	"github.com/headgate/headgate/runtime/exchange"
	"github.com/headgate/headgate/runtime/router"
	"github.com/headgate/headgate/runtime/telemetry"
	"github.com/headgate/headgate/runtime/upstream"
)

// Table is everything that a generation tells the engine. It is immutable.
type Table struct {
	Router *router.Table
	// Routes is in the order that the router was built from.
	Routes []*Route
	Settings
}

// Settings are the values of the gateway block that act on each exchange.
type Settings struct {
	// TrustedProxies are the peers whose forwarding headers are believed.
	TrustedProxies []netip.Prefix
	// RequestID is the header of the request id in lower case; "" disables it.
	RequestID string
	// MaxBody bounds request bodies in bytes where the route does not; 0: none.
	MaxBody int64
	// MaxRequests bounds the exchanges in flight; 0: none.
	MaxRequests int
	// DebugHeader, in lower case, makes the response carry server-timing.
	DebugHeader string
	// AccessLog may be nil.
	AccessLog *telemetry.AccessLog
	// Memory is the ceiling of read-ahead bodies.
	Memory *exchange.Budget
	// Challenge answers the HTTP-01 challenges of ACME (RFC 8555 section 8.3) on
	// listeners in the clear; nil: no certificate needs it.
	Challenge func(host, path string) (body string, ok bool)
}

// Route is what happens to the exchanges that match. Exactly one of Split,
// Redirect and Respond is set.
type Route struct {
	Name  string
	Chain *Chain

	Split    []Target
	Redirect *Redirect
	Respond  *Respond
	// Mirror gets copies of requests that are forwarded; nil: nobody does.
	Mirror *Mirror

	Rewrite         *Rewrite
	RequestHeaders  []HeaderEdit
	ResponseHeaders []HeaderEdit

	// Timeout is from the full request head to the response head; 0: the
	// upstream's.
	Timeout time.Duration
	// Buffer bounds in bytes what is read ahead of a body for filters.
	Buffer int64
	// MaxBody bounds the request body in bytes; 0: the gateway's.
	MaxBody int64
	Metrics *telemetry.Route
}

// Target is one destination of a route and its share.
type Target struct {
	Cluster *upstream.Cluster
	Weight  int
}

// Redirect answers with a Location.
type Redirect struct {
	URL    exchange.Expr
	Status int
}

// Respond answers with a fixed status and an evaluated body and headers.
type Respond struct {
	Status  int
	Body    exchange.Expr
	Headers []HeaderEdit
}

// Rewrite changes where a request goes. Nil expressions leave things alone.
type Rewrite struct {
	Path, Host exchange.Expr
	Query      []QueryEdit
}

// QueryEdit sets one query parameter; a null value removes it.
type QueryEdit struct {
	Name  string
	Value exchange.Expr
}

// EditOp is the kind of a HeaderEdit.
type EditOp uint8

// The edits.
const (
	Set    EditOp = iota // a null value removes the field
	Add                  // a null value adds nothing
	Remove               // Value is not used
)

// HeaderEdit changes one header field. Name is in lower case.
type HeaderEdit struct {
	Op    EditOp
	Name  string
	Value exchange.Expr
}
