package topics

import (
	"strings"
	"testing"
	"unsafe"
)

// An entry returns its key, whatever its length, and has the documented size.
func TestEntryKey(t *testing.T) {
	text := strings.Repeat("0123456789", 30)
	for session := range 70 {
		for name := range 200 {
			k := key{text[:session], text[100 : 100+name]}
			if got := newEntry[*int](k).key(); got != k {
				t.Fatalf("the entry of %q has the key %q", k, got)
			}
		}
	}
	if a, b := newEntry[int](key{"ab", "c"}).key(), newEntry[int](key{"a", "bc"}).key(); a == b {
		t.Errorf("%q and %q are equal", a, b)
	}
}

// A usual entry fits one cache line; otherwise each look-up would read another.
func TestEntryIsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(entry22[*int]{}); n > 64 {
		t.Errorf("an entry takes %d bytes, want at most 64", n)
	}
	if n := unsafe.Sizeof(entry[*int]{}) - unsafe.Offsetof(entry[*int]{}.text); n != 6 {
		t.Errorf("an entry ends %d bytes after its text begins, want 6", n)
	}
}
