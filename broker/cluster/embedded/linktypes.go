package embedded

import (
	"fmt"
	"log/slog"
	"time"
)

// LinkOptions configure a [Link]. Name and Listen are required.
type LinkOptions struct {
	// Name is the name of the server, different from that of every other.
	Name string
	// Listen is where other servers reach this one, host:port. Port 0 is any
	// that is free: see [Link.Addr].
	Listen string
	// Peers are the addresses of other servers, host:port. One that is running
	// is enough: it tells of the others.
	Peers []string
	// Secret is what servers prove to each other that they know. It is required
	// unless Listen is on loopback.
	Secret string
	// Patience is how long a peer may neither read nor answer: after three times
	// that, at most, its connection is closed. Default two seconds.
	Patience time.Duration
	// Payload is the largest message of a user, in bytes. The server accepts
	// 64 KiB more. Default 1 MiB.
	Payload int
	// Logger receives the records of the server. Nil means no logging.
	Logger *slog.Logger
}

// linkError is an error about a field of LinkOptions.
func linkError(field, format string, args ...any) error {
	return fmt.Errorf("LinkOptions.%s: %w", field, fmt.Errorf(format, args...))
}
