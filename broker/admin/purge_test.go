package admin

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A purge empties a queue, except for what a consumer holds, and so makes room.
func TestPurge(t *testing.T) {
	s := start(t, broker.Options{Queues: broker.Queues{Messages: 3, Transient: []string{"/queue/none"}}}, Options{})
	publish := func(want int) {
		t.Helper()
		if a := s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/a b","body":"x"}`); a.status != want {
			t.Fatalf("published: %d %s, want %d", a.status, a.body, want)
		}
	}
	for range 3 {
		publish(http.StatusAccepted)
	}
	c := brokertest.Connect(t, s.b)
	c.Subscribe(t, "s", "/queue/a b", "ack", "client-individual", "prefetch-count", "1")
	c.Expect(t, "MESSAGE")
	publish(http.StatusTooManyRequests)
	purge := func(destination string) answer {
		return s.do(t, "DELETE", "/api/v1/messages?destination="+url.QueryEscape(destination), "")
	}
	var got purged
	purge("/queue/a b").json(t, http.StatusOK, &got)
	if got.Removed != 2 {
		t.Errorf("%d messages were removed, want 2", got.Removed)
	}
	if st := s.b.Stats(); st.QueueMessages != 1 {
		t.Errorf("%d messages are left, want the one that is held", st.QueueMessages)
	}
	publish(http.StatusAccepted)
	for _, destination := range []string{"", "a", "/topic/a", "/queue/", "/queue/*", "/queue/none", "/user/ann/queue/a", "/app/a"} {
		purge(destination).problem(t, http.StatusBadRequest, "")
	}
	purge("/queue/b").problem(t, http.StatusNotFound, "")
	s.do(t, "DELETE", "/api/v1/messages", "").problem(t, http.StatusBadRequest, "")
	s.do(t, "DELETE", "/api/v1/messages?destination=/queue/a&x=1", "").problem(t, http.StatusBadRequest, "")
}
