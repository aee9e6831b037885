//go:build !linux

package host

import "time"

// threadCPU is not known here: thread 0.
func threadCPU() (thread int, used time.Duration) { return 0, 0 }
