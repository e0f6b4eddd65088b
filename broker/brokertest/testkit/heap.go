package testkit

import "runtime"

// Heap returns the number of live heap bytes. It collects garbage three times,
// because a sync.Pool keeps what is in it for two collections.
func Heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
