package sockjs_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

// An HTTP session that waits for its next poll holds little, even after long
// requests. One whose client does not poll holds its outbox. One that has ended
// holds less than a live one.
func TestSessionsHoldWhatIsDocumented(t *testing.T) {
	const n, outbox = 20, 128 << 10
	junk := strings.Repeat("j", 100_000)
	// A test keeps the responses of world's own requests until it ends.
	do := func(w *world, path, body string) {
		r, err := http.NewRequestWithContext(w.t.Context(), "POST", "http://example.com/ws/000/"+path, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("X-Junk", junk)
		tr := &http.Transport{DialContext: w.net.dial(w.from), DisableKeepAlives: true}
		res, err := tr.RoundTrip(r)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode >= 300 {
			w.t.Fatal(res.Status, err)
		}
		_ = res.Body.Close()
	}
	connected := func(w *world, id string) {
		do(w, id+"/xhr?"+junk, "")
		do(w, id+"/xhr_send?"+junk, connect)
		do(w, id+"/xhr?"+junk, "")
	}
	for _, tc := range []struct {
		name string
		most int64
		make func(w *world, id string)
	}{
		{"idle", 12 << 10, connected},
		{"not polled", 2*outbox + 8<<10, func(w *world, id string) {
			connected(w, id)
			do(w, id+"/xhr_send", `["SUBSCRIBE\nid:1\ndestination:/topic/`+id+`\n\n\u0000"]`)
			body := strings.Repeat("x", 4000)
			for range outbox/4200 - 1 {
				if err := w.b.Publish(w.t.Context(), &broker.Message{Destination: "/topic/" + id, Body: []byte(body)}); err != nil {
					w.t.Fatal(err)
				}
			}
		}},
		{"ended, and nobody took the goodbye", 12 << 10, func(w *world, id string) {
			connected(w, id)
			do(w, id+"/xhr_send", `["NONSENSE\n\n\u0000"]`)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := broker.Options{Limits: broker.Limits{Frame: outbox / 2, Outbox: outbox, UnauthenticatedPerAddress: -1}}
			bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
				w.from = "192.0.2.200"
				connected(w, "first")
				pass(time.Second)
				synctest.Wait()
				before := testkit.Heap()
				for i := range n {
					tc.make(w, fmt.Sprint("s", i))
				}
				pass(time.Second)
				synctest.Wait()
				held := (testkit.Heap() - before) / n
				t.Logf("%d bytes are held, at most %d may be", held, tc.most)
				if held > tc.most {
					t.Errorf("%d bytes are held, at most %d may be", held, tc.most)
				}
			})
		})
	}
}
