//go:build !unix

package gateway

import (
	"context"
	"errors"
	"os"
)

// noSignal is never sent.
type noSignal struct{}

func (noSignal) String() string { return "none" }
func (noSignal) Signal()        {}

var upgradeSignal os.Signal = noSignal{}

func descriptor(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

func (g *Gateway) successor(context.Context) (pid int, err error) { return 0, errors.ErrUnsupported }

func monotonic() string { return "" }
