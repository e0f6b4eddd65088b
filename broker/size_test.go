package broker

import (
	"testing"
	"unsafe"
)

// An idle session is this struct for the most part; 640 is a size that the
// allocator has.
func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 640 {
		t.Errorf("a session has %d bytes", n)
	}
}
