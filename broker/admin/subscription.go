package admin

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// subscription is [broker.DurableSubscription] as JSON.
type subscription struct {
	User           string     `json:"user"`
	Name           string     `json:"name"`
	Destination    string     `json:"destination"`
	Selector       string     `json:"selector,omitempty"`
	Created        time.Time  `json:"created"`
	Connected      bool       `json:"connected"`
	Session        string     `json:"session,omitempty"`
	Away           *time.Time `json:"away_since,omitempty"`
	Messages       int        `json:"messages"`
	Bytes          int64      `json:"bytes"`
	Unacknowledged int        `json:"unacknowledged"`
	Oldest         float64    `json:"oldest"` // seconds
	Dropped        int64      `json:"dropped"`
}

func newSubscription(d broker.DurableSubscription) subscription {
	s := subscription{
		User: d.User, Name: d.Name, Destination: d.Destination, Selector: d.Selector, Created: d.Created.UTC(),
		Connected: d.Session != "", Session: d.Session,
		Messages: d.Messages, Bytes: d.Bytes, Unacknowledged: d.Unacknowledged, Oldest: d.Oldest.Seconds(), Dropped: d.Dropped,
	}
	if !s.Connected {
		away := d.Since.UTC()
		s.Away = &away
	}
	return s
}

// subscriptions lists the durable subscriptions by user and name.
func (a *api) subscriptions(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "user", "destination", "offset", "limit")
	if p != nil {
		return p
	}
	var all []subscription
	for d := range a.b.DurableSubscriptions() {
		if (!q.Has("user") || q.Get("user") == d.User) && (!q.Has("destination") || q.Get("destination") == d.Destination) {
			all = append(all, newSubscription(d))
		}
	}
	slices.SortFunc(all, func(x, y subscription) int {
		return cmp.Or(cmp.Compare(x.User, y.User), cmp.Compare(x.Name, y.Name))
	})
	return answerPage(w, q, all)
}

// onlyUser returns the {user} of a path that takes no parameters.
func onlyUser(r *http.Request) (string, *problem) {
	if _, p := query(r); p != nil {
		return "", p
	}
	return pathUser(r)
}

// deletedSubscriptions is the answer to the deletion of all of a user.
type deletedSubscriptions struct {
	Deleted int `json:"deleted"`
}

// deleteSubscriptions deletes the durable subscriptions of a user.
func (a *api) deleteSubscriptions(w http.ResponseWriter, r *http.Request) *problem {
	user, p := onlyUser(r)
	if p != nil {
		return p
	}
	deleted, err := a.b.DeleteDurables(user)
	if err != nil {
		return a.notDeleted(user, err)
	}
	return writeJSON(w, http.StatusOK, deletedSubscriptions{deleted})
}

// deleteSubscription deletes one durable subscription.
func (a *api) deleteSubscription(w http.ResponseWriter, r *http.Request) *problem {
	user, p := onlyUser(r)
	if p != nil {
		return p
	}
	switch err := a.b.DeleteDurable(user, r.PathValue("name")); {
	case errors.Is(err, broker.ErrNoDurable):
		return problemf(http.StatusNotFound, "the user has no durable subscription with this name")
	case err != nil:
		return a.notDeleted(user, err)
	}
	return noContent(w)
}

// notDeleted is the answer if the store has not deleted what the broker has.
func (a *api) notDeleted(user string, err error) *problem {
	a.log.Warn("durable subscriptions are not deleted from the store yet", "user", brief(user), "error", err)
	return problemf(http.StatusServiceUnavailable, "deleted here, but not from the store yet; the broker tries again when the store works")
}
