package admin

import (
	"net/http"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The list has the users of a topic in the order in which they came, page by
// page.
func TestPresence(t *testing.T) {
	s := start(t, broker.Options{Presence: []string{"/topic/room/*"}}, Options{})
	for _, login := range []string{"bob", "ann", "cid", "ann", ""} {
		brokertest.Connect(t, s.b, "login", login).Subscribe(t, "1", "/topic/room/7")
	}
	list := func(q string) present {
		t.Helper()
		var p present
		s.do(t, "GET", "/api/v1/presence?destination=/topic/room/"+q, "").json(t, http.StatusOK, &p)
		return p
	}
	p := list("7")
	if p.Total != 3 || p.Anonymous != 1 || p.Destination != "/topic/room/7" || p.Limit != 100 || len(p.Items) != 3 {
		t.Fatalf("%+v", p)
	}
	if u := p.Items[1]; u.User != "ann" || u.Sessions != 2 || time.Since(u.Since).Abs() > time.Minute || p.Items[0].User != "bob" {
		t.Errorf("%+v", p.Items)
	}
	if p := list("7&limit=1&offset=2"); p.Total != 3 || len(p.Items) != 1 || p.Items[0].User != "cid" || p.Offset != 2 || p.Limit != 1 {
		t.Errorf("the last page is %+v", p)
	}
	var st stats
	if s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &st); st.PresenceRooms != 1 || st.PresenceUsers != 3 || st.PresenceLeaving != 0 {
		t.Errorf("the statistics are %+v", st)
	}
	if p := list("8"); p.Total != 0 || p.Items == nil {
		t.Errorf("an empty room: %+v", p)
	}
	for q, want := range map[string]struct {
		status int
		detail string
	}{
		"":                                   {http.StatusBadRequest, `"destination" is missing`},
		"?destination=":                      {http.StatusBadRequest, `"destination" is missing`},
		"?destination=/topic/a":              {http.StatusNotFound, `no presence is kept for "/topic/a": the key presence names the topics`},
		"?destination=/topic/room/*":         {http.StatusNotFound, "no presence is kept for"},
		"?destination=a":                     {http.StatusNotFound, "no presence is kept for"},
		"?destination=/topic/room/7&user=":   {http.StatusBadRequest, "destination, offset, limit"},
		"?destination=/topic/room/7&limit=0": {http.StatusBadRequest, `"limit" must be`},
	} {
		s.do(t, "GET", "/api/v1/presence"+q, "").problem(t, want.status, want.detail)
	}
}
