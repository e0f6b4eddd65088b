package admin

import (
	"errors"
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker"
)

// purged answers DELETE /messages.
type purged struct {
	Removed int `json:"removed"`
}

// purge removes the waiting messages of a queue. It leaves unsettled messages
// with their consumers.
func (a *api) purge(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "destination")
	if p != nil {
		return p
	}
	queue := q.Get("destination")
	n, err := a.b.Purge(queue)
	switch {
	case errors.Is(err, broker.ErrNoQueue):
		return problemf(http.StatusNotFound, "there is no such queue")
	case err != nil: // can only be ErrDestination
		return problemf(http.StatusBadRequest, "the parameter destination must name one queue that is kept, such as /queue/jobs")
	}
	a.log.Info("queue purged", "queue", brief(queue), "removed", n)
	return writeJSON(w, http.StatusOK, purged{n})
}
