package broker

import (
	"testing"
	"unsafe"
)

// An idle session is this struct for the most part; 640 is a size that the
// allocator has, and the next is 704. A new field has to find room, between
// others or behind a pointer that most sessions leave nil.
func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 640 {
		t.Errorf("a session has %d bytes", n)
	}
}

// The same of each of its subscriptions; after 208 comes 224.
func TestSubscriptionSize(t *testing.T) {
	if n := unsafe.Sizeof(subscriber{}); n > 208 {
		t.Errorf("a subscription has %d bytes", n)
	}
}
