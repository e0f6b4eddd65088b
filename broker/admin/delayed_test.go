package admin

import (
	"net/http"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A delayed message is in the list until it is cancelled by the id that the
// answer to its POST had.
func TestDelayed(t *testing.T) {
	s := start(t, broker.Options{Queues: broker.Queues{Delayed: 2}}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Send("SEND", "x", "destination", "/topic/b", "delay", "7200000")
	c.Sync(t)
	const post = `{"destination":"/queue/a","headers":{"delay":"3600000"}}`
	var sent published
	s.do(t, "POST", "/api/v1/messages", post).json(t, http.StatusAccepted, &sent)
	s.do(t, "POST", "/api/v1/messages", post).problem(t, http.StatusTooManyRequests, "queues.delayed")
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/a","headers":{"delay":"soon"}}`).problem(t, http.StatusBadRequest, "delay must be a whole number of milliseconds")
	s.do(t, "POST", "/api/v1/users/ann/messages", post).problem(t, http.StatusBadRequest, "/user/{name}/…")

	list := func(q string) page[delayed] {
		t.Helper()
		var p page[delayed]
		s.do(t, "GET", "/api/v1/delayed"+q, "").json(t, http.StatusOK, &p)
		return p
	}
	p := list("")
	if p.Total != 2 || len(p.Items) != 2 || p.Items[0].ID != sent.MessageID || p.Items[1].User != "ann" {
		t.Fatalf("the list is %+v", p)
	}
	if in := time.Until(p.Items[0].Due); p.Items[0].Destination != "/queue/a" || in > time.Hour || in < 50*time.Minute || p.Items[0].Bytes == 0 {
		t.Errorf("the first is %+v", p.Items[0])
	}
	for q, want := range map[string]int{"?user=ann": 1, "?user=": 1, "?destination=/queue/a": 1, "?destination=/queue/b": 0, "?user=ann&destination=/queue/a": 0, "?limit=1": 2} {
		if got := list(q).Total; got != want {
			t.Errorf("%s: %d messages, want %d", q, got, want)
		}
	}
	s.do(t, "GET", "/api/v1/delayed?x=1", "").problem(t, http.StatusBadRequest, "destination, user, offset, limit")

	path := "/api/v1/delayed/" + escape(sent.MessageID)
	s.do(t, "DELETE", path+"?x=1", "").problem(t, http.StatusBadRequest, "no parameters")
	if a := s.do(t, "DELETE", path, ""); a.status != http.StatusNoContent {
		t.Errorf("cancelled: %d %s", a.status, a.body)
	}
	s.do(t, "DELETE", path, "").problem(t, http.StatusNotFound, "no delayed message has this id")
	if p := list(""); p.Total != 1 {
		t.Errorf("%d messages are left, want 1", p.Total)
	}
	var st stats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &st)
	if st.Delayed != 1 || st.DelayedBytes == 0 {
		t.Errorf("the statistics have %d messages of %d bytes", st.Delayed, st.DelayedBytes)
	}
}
