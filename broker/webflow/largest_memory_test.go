//go:build !race

package webflow

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Operations with the longest ids, owners and results hold what is documented,
// whoever created them and whatever else was in the request.
func TestMemoryOfTheLargestOperations(t *testing.T) {
	const n, most = 2000, 2 << 10
	longest := func(i, length int) string { return fmt.Sprintf("%0*d", length, i) }
	t.Run("announced", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		result := longest(0, maxResultBytes)
		f, err := New(b, Options{AuthResults: []string{result, "DONE"}, Interim: []string{result}})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before := testkit.Heap()
		for i := range n {
			o := Operation{ID: longest(i, 256), WebSocketID: "w" + longest(i, 255), Owner: Owner{User: longest(i, 255)}}
			if _, err := f.Open(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if _, err := f.Notify(t.Context(), o.ID, result); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantEach(t, f, before, n, most)
	})
	t.Run("unannounced", func(t *testing.T) {
		b := brokertest.New(t, broker.Options{})
		f, err := New(b, Options{Registration: Open, MaxPerSession: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/user/topic/registration")
		before := testkit.Heap()
		for i := range n {
			body := fmt.Sprintf(`{"more":%q,"webSocketId":%q}`, longest(0, 2000), longest(i, 256))
			c.Send("SEND", body, "destination", "/app/registration", "x", longest(0, 5000))
			c.Expect(t, "MESSAGE")
		}
		c.Sync(t)
		wantEach(t, f, before, n, most)
		runtime.KeepAlive(c)
	})
}

func wantEach(t *testing.T, f *Flow, before int64, n int, most int64) {
	t.Helper()
	if got := f.Stats().Operations; got != n {
		t.Fatalf("%d operations, want %d", got, n)
	}
	per := (testkit.Heap() - before) / int64(n)
	t.Logf("%d bytes", per)
	if per > most {
		t.Errorf("an operation takes %d bytes, want at most %d", per, most)
	}
}
