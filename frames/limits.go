package frames

import (
	"fmt"
	"math"
)

// Defaults of [Limits]: bytes, header lines, bytes.
const (
	DefaultFrame       = 64 << 10
	DefaultHeaders     = 100
	DefaultHeaderBytes = 8 << 10
)

// Limits bounds what a [Decoder] takes from a peer. In each field zero is the default and a negative value no limit. All
// of them hold for one frame, however many chunks it comes in, and are checked before the bytes in question are kept.
type Limits struct {
	// Frame is the largest frame in bytes: command line, header lines, blank line and body as they are on the wire,
	// without the NUL. Default 64 KiB.
	Frame int
	// Headers is the largest number of header lines, repeated ones included. Default 100.
	Headers int
	// HeaderBytes is the largest header block in bytes: all header lines and the blank line, with their ends of line.
	// Default 8 KiB.
	HeaderBytes int
}

func (l *Limits) frame() int       { return orDefault(l.Frame, DefaultFrame) }
func (l *Limits) headers() int     { return orDefault(l.Headers, DefaultHeaders) }
func (l *Limits) headerBytes() int { return orDefault(l.HeaderBytes, DefaultHeaderBytes) }

func orDefault(n, otherwise int) int {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return math.MaxInt
	}
	return n
}

// Values of [LimitError.Limit].
const (
	LimitFrame       = "frame"
	LimitHeaders     = "headers"
	LimitHeaderBytes = "header_bytes"
)

// LimitError says that a frame went over one of the [Limits]. A server answers it with ERROR and closes with 1009.
type LimitError struct {
	// Limit says which one: [LimitFrame], [LimitHeaders] or [LimitHeaderBytes].
	Limit string
	// Max is its value.
	Max int
}

// Error names the limit and its value, e.g. "frame larger than 65536 bytes". It says nothing of the frame and may be sent
// to the client.
func (e *LimitError) Error() string {
	switch e.Limit {
	case LimitHeaders:
		return fmt.Sprintf("more than %d headers", e.Max)
	case LimitHeaderBytes:
		return fmt.Sprintf("headers larger than %d bytes", e.Max)
	}
	return fmt.Sprintf("frame larger than %d bytes", e.Max)
}
