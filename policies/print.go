package policies

import (
	"log/slog"

	"github.com/open-policy-agent/opa/v1/topdown/print"
)

// printer writes what a policy prints to the log.
type printer struct {
	log  *slog.Logger
	args []any
}

// Print implements print.Hook.
func (p *printer) Print(c print.Context, message string) error {
	args := p.args
	if c.Location != nil {
		args = append(args[:len(args):len(args)], "file", c.Location.File, "row", c.Location.Row)
	}
	p.log.Info(message, args...)
	return nil
}
