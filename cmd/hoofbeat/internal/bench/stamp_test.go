package bench

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestStampRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := stamp{
			probe:    rapid.Bool().Draw(t, "probe"),
			run:      rapid.Uint16Range(0, runMask).Draw(t, "run"),
			flow:     rapid.Uint32().Draw(t, "flow"),
			sequence: rapid.Uint64Range(0, word).Draw(t, "sequence"),
			due:      rapid.Int64Range(0, word).Draw(t, "due"),
		}
		filling := fillingOf(rapid.IntRange(stampSize, 200).Draw(t, "size"))
		body := append(make([]byte, stampSize), filling...)
		want.put(body)
		if !utf8.Valid(body) {
			t.Fatalf("%q is not UTF-8", body)
		}
		got, err := readStamp(body, filling)
		if err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

// Any other byte at any place is noticed, so is another length.
func TestStampNoticesEveryChange(t *testing.T) {
	filling := fillingOf(128)
	body := append(make([]byte, stampSize), filling...)
	stamp{run: 77, flow: 3, sequence: 123456, due: 987654321}.put(body)
	for i := range body {
		was := body[i]
		for c := range 256 {
			body[i] = byte(c)
			if _, err := readStamp(body, filling); (err == nil) != (byte(c) == was) {
				t.Fatalf("byte %d changed from %q to %q: %v", i, was, byte(c), err)
			}
		}
		body[i] = was
	}
	for _, p := range [][]byte{nil, body[:31], body[:127], append(body[:128:128], 'x')} {
		if _, err := readStamp(p, filling); err == nil {
			t.Errorf("%d bytes are accepted", len(p))
		}
	}
}
