//go:build unix

package host

import (
	"syscall"
	"time"
)

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return time.Duration(time.Now().UnixNano()) // never less than what was used
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
