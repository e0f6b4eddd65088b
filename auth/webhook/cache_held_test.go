package webhook

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

// The answers that are remembered take what Options.CacheSize says, however
// many were put.
func TestCacheHoldsWhatIsDocumented(t *testing.T) {
	alive := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, now := alive(), time.Now()
	c := newCache(DefaultCacheSize)
	for i := range 5 * DefaultCacheSize {
		var key digest
		binary.BigEndian.PutUint64(key[:], uint64(i))
		c.put(key, verdict{}, now.Add(time.Minute), now)
	}
	held := (alive() - before) / DefaultCacheSize
	t.Logf("%d bytes an answer", held)
	if held > 320 {
		t.Errorf("an answer holds %d bytes, at most 320 may be held", held)
	}
	if n := c.order.Len(); n != DefaultCacheSize {
		t.Errorf("%d answers are remembered, want %d", n, DefaultCacheSize)
	}
	runtime.KeepAlive(c)
}
