//go:build !race

package broker

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// What the maps of a [distinct] hold is at most what is counted for its texts,
// however many each owner has, and whether others have them as well.
func TestDistinctTextsHoldWhatTheyCount(t *testing.T) {
	const max = 8000
	texts, owners := make([]string, max), make([]string, max)
	for i := range max {
		texts[i], owners[i] = fmt.Sprint("/topic/?", i), fmt.Sprint("user", i)
	}
	none := limit.Exceeded{Value: max}
	for _, n := range []int{898, 1795, max} { // maps have just grown at the first two
		for _, each := range []int{1, 2, 3, 8, 9, 29, n} {
			for _, shared := range []bool{false, true} {
				before := testkit.Heap()
				var d distinct
				for i := range n {
					text := texts[i]
					if shared {
						text = texts[i%each]
					}
					if e := d.take(quotaKey{user: owners[i/each]}, text, none, none); e != nil {
						t.Fatal(e)
					}
				}
				if held := (testkit.Heap() - before) / int64(n); held > distinctBytes {
					t.Errorf("%d texts, %d of each owner, shared: %v: each takes %d bytes, want at most %d", n, each, shared, held, distinctBytes)
				}
				runtime.KeepAlive(&d)
			}
		}
	}
	runtime.KeepAlive(texts)
	runtime.KeepAlive(owners)
}
