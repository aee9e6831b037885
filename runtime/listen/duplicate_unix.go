//go:build unix

package listen

import (
	"os"

	"golang.org/x/sys/unix"
)

// duplicate copies f without a change to how it waits, which copies share.
func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var c int
	if e := raw.Control(func(fd uintptr) { c, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(c), f.Name()), nil
}
