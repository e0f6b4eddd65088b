package admin

import (
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker"
)

// present is a page of [broker.Presence].
type present struct {
	Destination string               `json:"destination"`
	Anonymous   int                  `json:"anonymous"`
	Total       int                  `json:"total"`
	Offset      int                  `json:"offset"`
	Limit       int                  `json:"limit"`
	Items       []broker.PresentUser `json:"items"`
}

// presence lists who is subscribed to a topic, in the order in which they came.
func (a *api) presence(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "destination", "offset", "limit")
	if p != nil {
		return p
	}
	if q.Get("destination") == "" {
		return problemf(http.StatusBadRequest, `the parameter "destination" is missing: want a topic such as /topic/room/7`)
	}
	list, err := a.b.Presence(q.Get("destination"))
	if err != nil { // can only be ErrDestination
		return problemf(http.StatusNotFound, "no presence is kept for %q: the key presence names the topics", brief(q.Get("destination")))
	}
	part, p := pageOf(q, list.Users)
	if p != nil {
		return p
	}
	return writeJSON(w, http.StatusOK, present{list.Destination, list.Anonymous, part.Total, part.Offset, part.Limit, part.Items})
}
