package frames

import (
	"fmt"
	"math"
)

// Defaults of [Limits], in bytes, header lines and bytes.
const (
	DefaultFrame       = 64 << 10
	DefaultHeaders     = 100
	DefaultHeaderBytes = 8 << 10
)

// Limits limits what a [Decoder] accepts from a peer. In each field zero means
// the default and a negative value no limit. Each applies to one frame, however
// many chunks it arrives in, and is checked before the bytes in question are
// stored.
type Limits struct {
	// Frame is the maximum size of a frame in bytes: command line, header
	// lines, blank line and body as sent, without the NUL. Default 64 KiB.
	Frame int
	// Headers is the maximum number of header lines, including repeated ones.
	// Default 100.
	Headers int
	// HeaderBytes is the maximum size of the header block in bytes: all header
	// lines and the blank line, with their ends of line. Default 8 KiB.
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

// LimitError reports that a frame exceeded one of the [Limits]. A server
// answers it with ERROR and closes with 1009.
type LimitError struct {
	// Limit is the exceeded limit: [LimitFrame], [LimitHeaders] or
	// [LimitHeaderBytes].
	Limit string
	// Max is the limit's value.
	Max int
}

// Error names the limit and its value, e.g. "frame larger than 65536 bytes". It
// contains nothing of the frame and may be sent to the client.
func (e *LimitError) Error() string {
	switch e.Limit {
	case LimitHeaders:
		return fmt.Sprintf("more than %d headers", e.Max)
	case LimitHeaderBytes:
		return fmt.Sprintf("headers larger than %d bytes", e.Max)
	}
	return fmt.Sprintf("frame larger than %d bytes", e.Max)
}
