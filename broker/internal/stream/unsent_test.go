//go:build linux

package stream

import (
	"io"
	"testing"
	"time"
)

// Unsent shows that the peer reads long before a blocked Write returns.
func TestUnsent(t *testing.T) {
	ours, peer := tcpPair(t)
	full := 0
	for {
		n, err := ours.TryWrite(make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		full += n
	}
	before, known := ours.Unsent()
	if !known || before <= 0 || before > full {
		t.Fatalf("%d of %d bytes are unsent, known: %v", before, full, known)
	}
	if err := peer.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, peer, int64(full)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if n, _ := ours.Unsent(); n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("everything was read and some is still unsent")
		}
	}
	wrapped, _ := tlsPair(t)
	if _, known := wrapped.Unsent(); !known {
		t.Error("not known of TLS over a plain socket")
	}
	piped, _ := pipePair(t)
	if _, known := piped.Unsent(); known {
		t.Error("known of a pipe")
	}
}
