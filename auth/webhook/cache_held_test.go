package webhook

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The answers that are remembered take what Options.CacheSize says, however
// many were put.
func TestCacheHoldsWhatIsDocumented(t *testing.T) {
	before, now := testkit.Heap(), time.Now()
	c := newCache(DefaultCacheSize)
	for i := range 5 * DefaultCacheSize {
		var key digest
		binary.BigEndian.PutUint64(key[:], uint64(i))
		c.put(key, verdict{}, now.Add(time.Minute), now)
	}
	held := (testkit.Heap() - before) / DefaultCacheSize
	t.Logf("%d bytes an answer", held)
	if held > 320 {
		t.Errorf("an answer holds %d bytes, at most 320 may be held", held)
	}
	if n := c.order.Len(); n != DefaultCacheSize {
		t.Errorf("%d answers are remembered, want %d", n, DefaultCacheSize)
	}
	runtime.KeepAlive(c)
}
