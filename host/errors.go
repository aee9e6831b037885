package host

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by a host or plugin that was closed.
var ErrClosed = errors.New("the plugin is closed")

// ErrBusy is returned when no instance became free within the deadline.
var ErrBusy = errors.New("no instance was free within the deadline")

// ErrQuarantined is returned while a plugin is kept out of use, since it failed
// too often.
var ErrQuarantined = errors.New("the plugin is in quarantine: it failed too often")

// Reason says why a call into a guest ended badly.
type Reason string

// The reasons.
const (
	ReasonTrap     Reason = "trap"     // the guest trapped or broke the rules of its ABI
	ReasonCPU      Reason = "cpu"      // it used up limits.cpu, or limits.start_cpu
	ReasonDeadline Reason = "deadline" // it was not done within limits.deadline
	ReasonMemory   Reason = "memory"   // it was refused memory and gave up
	ReasonExit     Reason = "exit"     // it ended its process
)

// TrapError is a call into a guest that ended badly. Its instance is gone.
type TrapError struct {
	Plugin string
	Reason Reason
	Err    error
}

// Error implements error.
func (e *TrapError) Error() string {
	return fmt.Sprintf("plugin %q: %s: %v", e.Plugin, e.Reason, e.Err)
}

// Unwrap returns what wazero or the ABI said.
func (e *TrapError) Unwrap() error { return e.Err }

// ModuleError is a module that this host cannot run: not WebAssembly, or
// without an export that the ABI needs.
type ModuleError struct {
	// Missing is the export that is absent or has another signature; "" if
	// something else is wrong.
	Missing string
	// Detail is a sentence for the person who configured the module.
	Detail string
	Err    error
}

// Error implements error.
func (e *ModuleError) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

// Unwrap returns the cause, if there is one.
func (e *ModuleError) Unwrap() error { return e.Err }
