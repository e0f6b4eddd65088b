package admin

import (
	"net/http"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestDurableSubscriptions(t *testing.T) {
	s := start(t, broker.Options{Durable: []broker.Durable{{Destination: "/topic/orders/**", Messages: 2}}}, Options{})
	subscribe := func(user, name string) *brokertest.Client {
		c := brokertest.Connect(t, s.b, "login", user)
		c.Subscribe(t, "1", "/topic/orders/eu", "durable", name)
		return c
	}
	subscribe("bob", "a").Close()
	subscribe("ann", "x/y").Close()
	c := subscribe("ann", "b")
	for range 3 {
		s.do(t, "POST", "/api/v1/messages", `{"destination":"/topic/orders/eu","body":"x"}`).json(t, http.StatusAccepted, new(published))
	}
	list := func(q string) page[subscription] {
		t.Helper()
		var p page[subscription]
		s.do(t, "GET", "/api/v1/subscriptions"+q, "").json(t, http.StatusOK, &p)
		return p
	}
	p := list("")
	if p.Total != 3 || len(p.Items) != 3 {
		t.Fatalf("the list is %+v", p)
	}
	for i, want := range []subscription{
		{User: "ann", Name: "b", Connected: true, Session: c.Session},
		{User: "ann", Name: "x/y", Messages: 2, Dropped: 1},
		{User: "bob", Name: "a", Messages: 2, Dropped: 1},
	} {
		got := p.Items[i]
		if got.Created.IsZero() || got.Bytes > 0 != (got.Messages > 0) || (got.Away == nil) != got.Connected {
			t.Errorf("item %d is %+v", i, got)
		}
		want.Destination, want.Created, want.Away, want.Bytes, want.Oldest = "/topic/orders/eu", got.Created, got.Away, got.Bytes, got.Oldest
		if got != want {
			t.Errorf("item %d is %+v, want %+v", i, got, want)
		}
	}
	for q, want := range map[string]int{"?user=ann": 2, "?user=eve": 0, "?destination=/topic/orders/eu": 3, "?destination=/topic/orders/**": 0, "?limit=1": 3} {
		if got := list(q).Total; got != want {
			t.Errorf("%s: %d subscriptions, want %d", q, got, want)
		}
	}
	s.do(t, "GET", "/api/v1/subscriptions?x=1", "").problem(t, http.StatusBadRequest, "user, destination, offset, limit")
	var st stats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &st)
	if st.DurableSubscriptions != 3 || st.DurableMessages != 4 || st.DurableBytes == 0 || st.DurableDropped != 2 {
		t.Errorf("the statistics are %+v", st)
	}

	const one = "/api/v1/users/ann/subscriptions/x%2Fy"
	if a := s.do(t, "DELETE", one, ""); a.status != http.StatusNoContent {
		t.Errorf("deleted: %d %s", a.status, a.body)
	}
	s.do(t, "DELETE", one, "").problem(t, http.StatusNotFound, "no durable subscription with this name")
	s.do(t, "DELETE", one+"?x=1", "").problem(t, http.StatusBadRequest, "no parameters")
	s.do(t, "DELETE", "/api/v1/users/ann/subscriptions?x=1", "").problem(t, http.StatusBadRequest, "no parameters")
	var deleted deletedSubscriptions
	s.do(t, "DELETE", "/api/v1/users/ann/subscriptions", "").json(t, http.StatusOK, &deleted)
	if deleted.Deleted != 1 || list("").Total != 1 {
		t.Errorf("%d deleted, %d are left", deleted.Deleted, list("").Total)
	}
}
