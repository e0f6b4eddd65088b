package auth

import (
	"net/netip"
	"testing"
)

func TestRemoteOf(t *testing.T) {
	if got := RemoteOf(t.Context()); got.IsValid() {
		t.Errorf("a context without an address says %v", got)
	}
	want := netip.MustParseAddr("192.0.2.1")
	if got := RemoteOf(WithRemote(t.Context(), want)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
