package webflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// exchange posts for a poll token with this Authorization header.
func exchange(h http.Handler, id, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/operations/"+id+"/poll-token", nil)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// pollToken returns the token of an answer, which must be in its body and its
// header.
func pollToken(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var got struct{ WebSocketID, PollToken string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("HTTP %d %s: %v", w.Code, w.Body, err)
	}
	if got.WebSocketID != "ws-op" || len(got.PollToken) != 22 || w.Header().Get("Poll-Token") != got.PollToken {
		t.Fatalf("%+v, header %q", got, w.Header().Get("Poll-Token"))
	}
	wantAnswer(t, w, 200, `{"webSocketId":"ws-op","pollToken":"`+got.PollToken+`"}`)
	return got.PollToken
}

// withTickets returns a handler that accepts tickets, and a function that mints
// them.
func withTickets(t *testing.T, f *webflow.Flow) (http.Handler, func(name, operation string) string) {
	t.Helper()
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f.PollHandler(webflow.HandlerOptions{Ticket: tickets.Consume}), func(name, operation string) string {
		t.Helper()
		ticket, err := tickets.Mint(context.Background(), ticket.Grant{Principal: &auth.Principal{Name: name}, Operation: operation})
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Value
	}
}

// A page with a ticket and no WebSocket polls from start to end.
func TestTicketIsExchangedForAPollToken(t *testing.T) {
	_, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", webflow.Owner{})
	h, mint := withTickets(t, f)
	ticket := mint("visitor", "op")
	token := pollToken(t, exchange(h, "ws-op", "Ticket "+ticket))
	wantAnswer(t, poll(h, "ws-op", "", token), 200, stillWait)
	notify(t, f, "op", "CONFIRMED", false)
	wantAnswer(t, poll(h, "ws-op", "", token), 200, confirmed)

	again := exchange(h, "ws-op", "Ticket "+ticket)
	wantAnswer(t, again, 401, `{"error":"invalid_ticket"}`)
	if got := again.Header().Get("WWW-Authenticate"); got != "Ticket" {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	// Another page of the same owner does not invalidate the first one's token.
	if second := pollToken(t, exchange(h, "ws-op", "ticket "+mint("visitor-2", "op"))); second != token {
		t.Error("the second page of the owner has another token")
	}
}

// noStore is a store of tickets that cannot be reached.
type noStore struct{ *ticket.Memory }

func (noStore) Take(context.Context, ticket.Key) (ticket.Record, error) {
	return ticket.Record{}, errors.New("dial tcp 10.0.0.1:4222: connection refused")
}

// A ticket that cannot be checked is not called invalid: the page tries again.
func TestTicketWithoutItsStore(t *testing.T) {
	_, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", webflow.Owner{})
	tickets, err := ticket.New(noStore{ticket.NewMemory()}, auth.NewRevocations(), ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := exchange(f.PollHandler(webflow.HandlerOptions{Ticket: tickets.Consume}), "ws-op", "Ticket "+strings.Repeat("A", 43))
	wantAnswer(t, w, 503, `{"error":"tickets are not available at the moment"}`+"\n")
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After is %q", got)
	}
}

func TestTicketOfAnotherIsExchangedForNothing(t *testing.T) {
	_, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", webflow.Owner{})
	open(t, f, "anns", user("ann"))
	h, mint := withTickets(t, f)
	for _, x := range []struct{ id, ticket string }{
		{"ws-op", mint("visitor", "")}, {"ws-op", mint("visitor", "other")}, {"ws-none", mint("visitor", "op")},
		{"ws-anns", mint("bob", "")}, {"ws-anns", mint("ann", "op")},
	} {
		wantAnswer(t, exchange(h, x.id, "Ticket "+x.ticket), 404, notFound)
		wantAnswer(t, exchange(h, x.id, "Ticket "+x.ticket), 401, `{"error":"invalid_ticket"}`) // it is spent
	}
	for _, authorization := range []string{"Ticket", "Ticket x", "Ticket  "} {
		wantAnswer(t, exchange(h, "ws-op", authorization), 401, `{"error":"invalid_ticket"}`)
	}
	// A ticket cannot be used to poll, and polling does not spend it.
	ticket := mint("visitor", "op")
	r := httptest.NewRequest("GET", "/operations/ws-op/result?ticket="+ticket, nil)
	r.Header.Set("Authorization", "Ticket "+ticket)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	wantAnswer(t, w, 404, notFound)
	wantAnswer(t, exchange(f.Handler(nil), "ws-op", "Ticket "+ticket), 404, notFound) // this handler accepts no tickets
	pollToken(t, exchange(h, "ws-op", "Ticket "+ticket))
}

// An operation of Owner Anyone has one valid token at a time, so that no other
// client gets the token of the one that registers.
func TestPollTokensOfAnOpenOperation(t *testing.T) {
	b, f := start(t, webflow.Options{PollInterval: -1})
	open(t, f, "op", anyone)
	h, mint := withTickets(t, f)
	first := pollToken(t, exchange(h, "ws-op", "Ticket "+mint("bob", "")))
	second := pollToken(t, exchange(h, "ws-op", "Ticket "+mint("ann", "")))
	wantAnswer(t, poll(h, "ws-op", "", first), 404, notFound)
	wantAnswer(t, poll(h, "ws-op", "", second), 200, stillWait)

	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	token := want(t, c, accepted("ws-op"))[0].Get("poll-token")
	wantAnswer(t, poll(h, "ws-op", "", second), 404, notFound)
	wantAnswer(t, exchange(h, "ws-op", "Ticket "+mint("bob", "")), 404, notFound)
	if got := pollToken(t, exchange(h, "ws-op", "Ticket "+mint("alice", ""))); got != token {
		t.Error("who has registered it has lost the token of the reply")
	}
}
