package exchange

import "errors"

// ErrServerName means that a connection asks for a server that is not here.
var ErrServerName = errors.New("no upstream for the server name")
