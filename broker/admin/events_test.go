package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

func TestEvents(t *testing.T) {
	since := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	s := start(t, broker.Options{}, Options{Events: func() []EventsState {
		return []EventsState{
			{Key: "events", URL: "https://a.example", Failing: &since, Waiting: 1, Bytes: 2, Delivered: 3, Dropped: 4}, {Key: "webflow.events"},
		}
	}})
	var p page[EventsState]
	a := s.do(t, "GET", "/api/v1/events", "")
	a.json(t, http.StatusOK, &p)
	if p.Total != 2 || !p.Items[0].Failing.Equal(since) || strings.Count(string(a.body), "failing") != 1 || p.Items[1] != (EventsState{Key: "webflow.events"}) {
		t.Errorf("the list is %s", a.body)
	}
	p.Items[0].Failing = nil
	if p.Items[0] != (EventsState{Key: "events", URL: "https://a.example", Waiting: 1, Bytes: 2, Delivered: 3, Dropped: 4}) {
		t.Errorf("the list is %s", a.body)
	}
	s.do(t, "GET", "/api/v1/events?x=1", "").problem(t, http.StatusBadRequest, "offset, limit")
	// Without a back end the list is empty.
	start(t, broker.Options{}, Options{}).do(t, "GET", "/api/v1/events", "").json(t, http.StatusOK, &p)
	if p.Total != 0 || len(p.Items) != 0 {
		t.Errorf("without a back end it is %+v", p)
	}
}
