package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/topics"
)

// silentNodes is a relay to another broker, which does not answer in time.
type silentNodes struct{}

func (silentNodes) Start(broker.Peer) error           { return nil }
func (silentNodes) Interest(topics.Interest)          {}
func (silentNodes) Settle(_ uint64, done func(error)) { done(nil) }
func (silentNodes) Publish(*broker.Envelope)          {}
func (silentNodes) Join(string)                       {}
func (silentNodes) Leave(string)                      {}
func (silentNodes) Known(_ string, done func(error))  { done(nil) }

func (silentNodes) Ask(to string, _ *broker.Question, done func(broker.Answer, error)) {
	if done == nil {
		return
	}
	if to == "gonego" {
		done(broker.Answer{}, broker.ErrNoSession)
		return
	}
	done(broker.Answer{}, &broker.PartialError{Missing: []string{"n2"}})
}

// The admin API says which node has not answered, and tells that from a session
// that is nowhere.
func TestNodesThatDoNotAnswer(t *testing.T) {
	s := start(t, broker.Options{Relay: silentNodes{}}, Options{})
	var got delivered
	s.do(t, "POST", "/api/v1/users/ann/messages", `{"destination":"/queue/x"}`).json(t, http.StatusOK, &got)
	if got.MessageID == "" || got.Subscriptions != 0 || !slices.Equal(got.Unanswered, []string{"n2"}) {
		t.Errorf("%+v", got)
	}
	id := strings.Repeat("a", 26)
	s.do(t, "DELETE", "/api/v1/sessions/silent"+id, "").problem(t, http.StatusServiceUnavailable, "no answer in time from n2")
	s.do(t, "DELETE", "/api/v1/sessions/gonego"+id, "").problem(t, http.StatusNotFound, "no session")
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/reply-queue/silent`+id+`"}`).problem(t, http.StatusServiceUnavailable, "no answer in time from n2")
}
