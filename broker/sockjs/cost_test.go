package sockjs_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

// A session over HTTP takes the goroutine that runs Broker.Serve and the one
// that Serve starts.
func TestGoroutines(t *testing.T) {
	const n = 20
	o := broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: n + 1}}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		w.poll("first", "o")
		pass(1e9)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range n {
			w.poll(fmt.Sprintf("s%d", i), "o")
		}
		pass(1e9) // net/http releases the connections
		synctest.Wait()
		if got := runtime.NumGoroutine() - before; got/n > 2 { // one of another test's may come or go
			t.Errorf("%d goroutines for %d sessions", got, n)
		}
	})
}
