package frames

import (
	"errors"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	small := Limits{Frame: 40, Headers: 3, HeaderBytes: 20}
	off := Limits{Frame: -1, Headers: -1, HeaderBytes: -1}
	for _, tt := range []struct {
		name   string
		limits Limits
		in     string
		err    *LimitError
	}{
		{"frame, just fits", small, "SEND\n\n" + strings.Repeat("x", 34) + "\x00", nil},
		{"frame, one too many", small, "SEND\n\n" + strings.Repeat("x", 35), &LimitError{LimitFrame, 40}},
		{"frame, complete but one too many", small, "SEND\n\n" + strings.Repeat("x", 35) + "\x00", &LimitError{LimitFrame, 40}},
		{"frame, announced and fits", small, "SEND\ncontent-length:16\n\n0123456789abcdef\x00", nil},
		{"frame, announced and too many", small, "SEND\ncontent-length:17\n\n", &LimitError{LimitFrame, 40}},
		{"frame, ignored body of another command", small, "ACK\n\n" + strings.Repeat("x", 36), &LimitError{LimitFrame, 40}},
		{"frame, in the headers", Limits{Frame: 10}, "SEND\na:123", &LimitError{}},
		{"frame, in the headers, one too many", Limits{Frame: 10}, "SEND\na:1234", &LimitError{LimitFrame, 10}},
		{"frame, in the command", Limits{Frame: 3}, "SEND\n\n", &LimitError{LimitFrame, 3}},
		{"frame, default", Limits{}, "SEND\n\n" + strings.Repeat("x", DefaultFrame-5), &LimitError{LimitFrame, 65536}},
		{"headers, just fit", small, "ACK\na:b\na:b\na:b\n\n\x00", nil},
		{"headers, one too many", small, "ACK\na:b\na:b\na:b\na:b\n", &LimitError{LimitHeaders, 3}},
		{"headers, default", Limits{}, "ACK\n" + strings.Repeat("a:b\n", 101), &LimitError{LimitHeaders, 100}},
		{"headers, default just fit", Limits{}, "ACK\n" + strings.Repeat("a:b\n", 100) + "\n\x00", nil},
		{"header bytes, just fit", small, "ACK\na:" + strings.Repeat("x", 16) + "\n\n\x00", nil},
		{"header bytes, one too many", small, "ACK\na:" + strings.Repeat("x", 17) + "\n\n", &LimitError{LimitHeaderBytes, 20}},
		{"header bytes, no line feed", small, "ACK\n" + strings.Repeat("x", 21), &LimitError{LimitHeaderBytes, 20}},
		{"header bytes, before a NUL", small, "ACK\n" + strings.Repeat("x", 21) + "\x00", &LimitError{LimitHeaderBytes, 20}},
		{"header bytes, default", Limits{}, "ACK\n" + strings.Repeat("x", 8193), &LimitError{LimitHeaderBytes, 8192}},
		{"off", off, "SEND\n" + strings.Repeat("a:b\n", 30000) + "\n" + strings.Repeat("x", 100000) + "\x00", nil},
		{"off, content-length", off, "SEND\ncontent-length:100000\n\n" + strings.Repeat("x", 100000) + "\x00", nil},
		{"off, content-length larger than any integer", off, "SEND\ncontent-length:99999999999999999999\n\nabc", &LimitError{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunks := range [][]string{{tt.in}, octetwise(tt.in)} {
				var d Decoder
				d.SetVersion(V10)
				d.SetLimits(tt.limits)
				got, err := feedAll(&d, chunks...)
				switch {
				case tt.err == nil:
					if err != nil || len(got) != 1 {
						t.Errorf("%d frames, error %v", len(got), err)
					}
				case *tt.err == LimitError{}: // neither a frame nor an error yet
					if err != nil || len(got) != 0 {
						t.Errorf("%d frames, error %v", len(got), err)
					}
				default:
					var limit *LimitError
					if !errors.As(err, &limit) || *limit != *tt.err {
						t.Errorf("error %v, want %v", err, tt.err)
					}
				}
			}
		})
	}
}

func TestLimitErrorNamesTheLimit(t *testing.T) {
	wantError(t, &LimitError{LimitFrame, 65536}, "frame larger than 65536 bytes")
	wantError(t, &LimitError{LimitHeaders, 100}, "more than 100 headers")
	wantError(t, &LimitError{LimitHeaderBytes, 8192}, "headers larger than 8192 bytes")
}

// TestAnnouncedBodyIsNotAllocated checks that a content-length costs no memory
// before its bytes arrive.
func TestAnnouncedBodyIsNotAllocated(t *testing.T) {
	var d Decoder
	d.SetLimits(Limits{Frame: 1 << 30})
	d.ws = &workspace{} // new, not from the pool with an existing buffer
	if _, err := feedAll(&d, "SEND\ncontent-length:1000000000\n\nab"); err != nil {
		t.Fatal(err)
	}
	if got := cap(d.ws.buf); got > firstBuffer {
		t.Errorf("%d bytes for 2 octets", got)
	}
}

func TestBufferDoesNotGrowBeyondTheLimit(t *testing.T) {
	var d Decoder
	d.SetLimits(Limits{Frame: 5000})
	d.ws = &workspace{}
	if _, err := feedAll(&d, octetwise("SEND\n\n"+strings.Repeat("x", 4900))...); err != nil {
		t.Fatal(err)
	}
	if got := cap(d.ws.buf); got > 5120 { // 5000 and the allocator's size class
		t.Errorf("%d bytes for at most 5000 octets", got)
	}
}

func TestLargeBuffersDoNotGoBackToThePool(t *testing.T) {
	w := &workspace{buf: make([]byte, 0, pooledBuffer+1), frame: Frame{Headers: make([]Header, 3, pooledHeaders+1)}}
	w.free()
	if w.buf != nil || w.frame.Headers != nil {
		t.Errorf("kept %d bytes and %d headers", cap(w.buf), cap(w.frame.Headers))
	}
}
