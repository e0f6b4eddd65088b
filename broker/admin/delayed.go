package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// delayed is [broker.DelayedMessage] as JSON.
type delayed struct {
	ID          string    `json:"id"`
	Destination string    `json:"destination"`
	User        string    `json:"user"`
	Due         time.Time `json:"due"`
	Refused     int       `json:"refused"`
	Bytes       int64     `json:"bytes"`
}

// delayed lists the messages that are not due yet, in the order in which they
// will be.
func (a *api) delayed(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "destination", "user", "offset", "limit")
	if p != nil {
		return p
	}
	var all []delayed
	for m := range a.b.Delayed() {
		if (!q.Has("destination") || q.Get("destination") == m.Destination) && (!q.Has("user") || q.Get("user") == m.User) {
			m.Due = m.Due.UTC()
			all = append(all, delayed(m))
		}
	}
	return answerPage(w, q, all)
}

// cancelDelayed removes a message that is not due yet.
func (a *api) cancelDelayed(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	id := r.PathValue("messageId")
	switch err := a.b.CancelDelayed(id); {
	case errors.Is(err, broker.ErrNotDelayed):
		return problemf(http.StatusNotFound, "no delayed message has this id: it was delivered, is being delivered, or never existed")
	case err != nil:
		a.log.Warn("a delayed message could not be cancelled for certain", "id", brief(id), "error", err)
		return problemf(http.StatusServiceUnavailable, "the store does not work: the message may be cancelled or not")
	}
	a.log.Info("delayed message cancelled", "id", brief(id))
	return noContent(w)
}
