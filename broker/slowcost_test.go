//go:build !race

package broker

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// The entries by which a slow pattern is counted belong to what a subscription to it
// costs. They hold no more than that, whoever has how many patterns.
func TestSlowPatternsCostWhatTheyHold(t *testing.T) {
	parse := func(name string) topics.Destination {
		d, err := topics.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	slow, fast := parse("/topic/?a"), parse("/topic/a*")
	if !slow.Slow() || fast.Slow() {
		t.Fatal("the patterns are not what the test needs")
	}
	if got := cost(fast); got != fast.Cost() {
		t.Errorf("%s costs %d, want %d", fast.Name, got, fast.Cost())
	}
	counted := cost(slow) - slow.Cost()
	const n = 20_000
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("/topic/?%d", i)
	}
	for name, owner := range map[string]func(i int) quotaKey{
		"of one user": func(int) quotaKey { return quotaKey{user: "ann"} },
		"two a user":  func(i int) quotaKey { return quotaKey{network: testkit.Network(i / 2)} },
	} {
		none := limit.Exceeded{Value: n}
		var d distinct
		before := testkit.Heap()
		for i, text := range texts {
			if e := d.take(owner(i), text, none, none); e != nil {
				t.Fatal(e)
			}
		}
		held := (testkit.Heap() - before) / n
		runtime.KeepAlive(&d)
		t.Logf("%s: %d bytes for a pattern, which counts %d", name, held, counted)
		if held > int64(counted) && name == "of one user" {
			t.Errorf("%s: a pattern takes %d bytes and counts %d", name, held, counted)
		}
	}
	runtime.KeepAlive(texts)
}
