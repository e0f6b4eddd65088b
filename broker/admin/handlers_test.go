package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

func TestHandlers(t *testing.T) {
	since := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	s := start(t, broker.Options{}, Options{Handlers: func() []HandlerState {
		return []HandlerState{{Destination: "/app/a", URL: "https://a.example", InFlight: 1, Handled: 2, Failed: 3}, {Destination: "/app/b", Broken: &since}}
	}})
	var p page[HandlerState]
	a := s.do(t, "GET", "/api/v1/handlers", "")
	a.json(t, http.StatusOK, &p)
	if p.Total != 2 || p.Items[0] != (HandlerState{Destination: "/app/a", URL: "https://a.example", InFlight: 1, Handled: 2, Failed: 3}) ||
		!p.Items[1].Broken.Equal(since) || strings.Count(string(a.body), "broken") != 1 {
		t.Errorf("the list is %s", a.body)
	}
	s.do(t, "GET", "/api/v1/handlers?limit=1", "").json(t, http.StatusOK, &p)
	if p.Total != 2 || len(p.Items) != 1 {
		t.Errorf("a page is %+v", p)
	}
	s.do(t, "GET", "/api/v1/handlers?x=1", "").problem(t, http.StatusBadRequest, "offset, limit")
	// Without handlers the list is empty.
	start(t, broker.Options{}, Options{}).do(t, "GET", "/api/v1/handlers", "").json(t, http.StatusOK, &p)
	if p.Total != 0 || len(p.Items) != 0 {
		t.Errorf("without handlers it is %+v", p)
	}
}
