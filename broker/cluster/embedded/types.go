package embedded

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Options configure a [Server]. Dir is required, unless Cluster is set.
type Options struct {
	// Dir is the directory of the store. It is created if only its last
	// element does not exist. One process can use it at a time.
	Dir string
	// Cluster makes the server one of several. Nil means that it is alone.
	Cluster *ClusterOptions
	// SyncInterval is how often written data is forced to the disk. Zero, the
	// default, means before each answer: what was acknowledged survives a power
	// failure. With an interval a power failure loses up to that much; the death
	// of the process alone loses nothing.
	SyncInterval time.Duration
	// Memory limits what streams in memory may hold. Default 256 MiB.
	Memory int64
	// Disk limits the sum of the limits of all streams in the directory, and
	// what they hold. Default 10 GiB.
	Disk int64
	// Reserve is how many bytes of the disk stay free: with less, [Server.Room]
	// is a [*FullError]. Default: 256 MiB or 2 % of the disk, whichever is more.
	Reserve int64
	// Payload is the largest message of a user, in bytes. The engine accepts
	// 64 KiB more, for headers. Default 1 MiB.
	Payload int
	// Key encrypts the directory. Empty means no encryption. It is chosen when
	// the directory is made; see OldKey.
	Key string
	// OldKey is the key of the directory, if Key is to replace it, see [Rekey].
	OldKey string
	// Recovering is called by Start whenever a stream of the directory has been
	// recovered, with how many have been, of how many. It is called on any
	// goroutine, but not after Start has returned. May be nil.
	Recovering func(done, of int)
	// Logger receives the records of the engine: its notices at the level
	// Debug. Nil means no logging.
	Logger *slog.Logger
}

// State is what a user of the engine must know.
type State struct {
	// Err is nil while the engine works. Otherwise nothing is stored and no
	// acknowledgement is kept: give no receipt, and stop pulling. It matches
	// ErrUnavailable, and its text names no file.
	Err error
	// Run counts the engines that this Server has started. If it has changed,
	// the engine was restarted: connections reconnect by themselves, but what
	// was on its way is lost, and what was delivered and not acknowledged comes
	// again.
	Run int
}

// Usage is how much of the disk the store uses.
type Usage struct {
	Stored   int64 // bytes of all streams
	Limit    int64 // Options.Disk
	Reserved int64 // sum of the limits of all streams
	Free     int64 // free bytes of the disk; -1 if unknown
	Size     int64 // bytes of the disk; -1 if unknown
	Reserve  int64 // free bytes below which nothing is stored
	Memory   int64 // bytes of the streams in memory
	Streams  int
	Messages uint64
}

// StreamUsage is how much a stream takes.
type StreamUsage struct {
	Name     string
	Messages uint64
	Bytes    uint64
	Limit    int64 // of Bytes; -1 without one
}

// Progress is how far [Export] or [Import] is.
type Progress struct {
	Stream string // that is read or made now
	Done   int    // streams before it
	Of     int    // streams in all
	Bytes  int64  // of the export, so far
}

// FullError says that the store accepts no further messages until some are
// consumed or the disk has more room. It goes on to deliver and to accept
// acknowledgements.
type FullError struct {
	// Key is the limit that was reached: "store.reserve" or "store.disk".
	Key string
	// Limit is its value, and Have what there is: free bytes of the disk for
	// store.reserve, stored bytes for store.disk.
	Limit, Have int64
}

func (e *FullError) Error() string {
	if e.Key == "store.disk" {
		return fmt.Sprintf("store-full: the store holds %s: store.disk is %s", size(e.Have), size(e.Limit))
	}
	return fmt.Sprintf("store-full: the disk of the store has %s left: store.reserve is %s", size(e.Have), size(e.Limit))
}

// size writes bytes for people, rounded down to one unit.
func size(b int64) string {
	for _, u := range []struct {
		bits int
		name string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if unit := int64(1) << u.bits; b >= 10*unit || b >= unit && b%unit == 0 {
			return fmt.Sprintf("%d %s", b/unit, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", b)
}

// mebibytes writes bytes as a limit that is large enough.
func mebibytes(b int64) string { return fmt.Sprintf("%dMiB", (b+1<<20-1)>>20) }

// Report is what a directory holds.
type Report struct {
	Format  int
	Node    string
	Runs    uint64
	Key     bool // it is encrypted
	Streams []StreamReport
}

// StreamReport is what a stream holds.
type StreamReport struct {
	Name      string
	Messages  uint64
	Bytes     uint64
	Consumers int
	First     uint64 // sequence of the first message
	Last      uint64 // and of the last that was stored, whether it is still there or not
	Damaged   uint64 // messages that cannot be read
}

// Damaged reports whether anything cannot be read.
func (r *Report) Damaged() bool {
	return slices.ContainsFunc(r.Streams, func(s StreamReport) bool { return s.Damaged > 0 })
}
