package selector

import (
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// A client may write hundreds of negations: they take no memory each, and no
// time per message.
func TestNegationsAreFolded(t *testing.T) {
	message := func(value string) *broker.Message {
		m := &broker.Message{}
		m.Headers = append(m.Headers, broker.Header{Name: "a", Value: value})
		return m
	}
	const copies = 200
	kept := make([]func(*broker.Message) bool, 0, copies+4)
	for i, negations := range []string{strings.Repeat("!", 900), strings.Repeat("!", 901), strings.Repeat("not ", 200), strings.Repeat("not !", 150) + "!"} {
		match, err := Compile(negations + "(headers.a == 'x')")
		if err != nil {
			t.Fatal(err)
		}
		if odd := i%2 == 1; match(message("x")) == odd || match(message("y")) != odd {
			t.Errorf("%.9s… is wrong", negations)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range copies {
		match, err := Compile(strings.Repeat("!", 900) + "(headers.a == 'x')")
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, match)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / copies; each > 2048 {
		t.Errorf("each holds %d bytes", each)
	}
	runtime.KeepAlive(kept)
}
