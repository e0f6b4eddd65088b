package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// history is [broker.HistoryInfo] as JSON.
type history struct {
	Destination  string  `json:"destination"`
	Entry        string  `json:"entry"`
	LastValue    bool    `json:"last_value"`
	Messages     int     `json:"messages"`
	Bytes        int64   `json:"bytes"`
	Epoch        string  `json:"epoch"`
	OldestOffset uint64  `json:"oldest_offset"`
	NewestOffset uint64  `json:"newest_offset"`
	Oldest       float64 `json:"oldest"` // age in seconds
}

func newHistory(h broker.HistoryInfo) history {
	return history{
		Destination: h.Destination, Entry: h.Entry, LastValue: h.LastValue, Messages: h.Messages, Bytes: h.Bytes,
		Epoch: h.Epoch, OldestOffset: h.Oldest, NewestOffset: h.Newest,
		Oldest: max(time.Since(h.Since), 0).Round(time.Millisecond).Seconds(),
	}
}

// histories lists the topics of which a history has messages.
func (a *api) histories(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "prefix", "entry", "sort", "order", "offset", "limit")
	if p != nil {
		return p
	}
	by, p := choice(q, "sort", "destination", "messages", "bytes", "oldest")
	if p != nil {
		return p
	}
	var all []broker.HistoryInfo
	for h := range a.b.Histories() {
		if strings.HasPrefix(h.Destination, q.Get("prefix")) && (!q.Has("entry") || q.Get("entry") == h.Entry) {
			all = append(all, h)
		}
	}
	if p := historyOrder(by).sort(q, all); p != nil {
		return p
	}
	part, p := pageOf(q, all)
	if p != nil {
		return p
	}
	items := make([]history, 0, len(part.Items))
	for _, h := range part.Items {
		items = append(items, newHistory(h))
	}
	return writeJSON(w, http.StatusOK, page[history]{part.Total, part.Offset, part.Limit, items})
}

// historyOrder returns the order for a sort key: figures sort from the largest
// down.
func historyOrder(by string) ordering[broker.HistoryInfo] {
	o := ordering[broker.HistoryInfo]{order: "desc", name: func(h *broker.HistoryInfo) string { return h.Destination }}
	switch by {
	case "messages":
		o.compare = func(x, y *broker.HistoryInfo) int { return cmp.Compare(x.Messages, y.Messages) }
	case "bytes":
		o.compare = func(x, y *broker.HistoryInfo) int { return cmp.Compare(x.Bytes, y.Bytes) }
	case "oldest":
		o.compare = func(x, y *broker.HistoryInfo) int { return y.Since.Compare(x.Since) }
	default:
		o.compare, o.order = func(x, y *broker.HistoryInfo) int { return cmp.Compare(x.Destination, y.Destination) }, "asc"
	}
	return o
}

// history shows one of them.
func (a *api) history(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	info, err := a.b.History(r.PathValue("destination"))
	if err != nil {
		return a.historyProblem(err)
	}
	return writeJSON(w, http.StatusOK, newHistory(info))
}

// deleteHistory removes what is kept of a topic, which the caller must confirm.
func (a *api) deleteHistory(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "confirm")
	if p != nil {
		return p
	}
	if q.Get("confirm") != "true" {
		return problemf(http.StatusBadRequest, "nothing was removed: to remove all that is kept of the destination, repeat the request with confirm=true")
	}
	destination := r.PathValue("destination")
	n, err := a.b.RemoveHistory(r.Context(), destination)
	if err != nil {
		return a.historyProblem(err)
	}
	a.log.Info("history removed", "destination", brief(destination), "removed", n, "remote", r.RemoteAddr)
	return writeJSON(w, http.StatusOK, removed{n})
}

// historyProblem returns the answer for an error about a history.
func (a *api) historyProblem(err error) *problem {
	switch text := strings.TrimPrefix(err.Error(), "broker: "); {
	case errors.Is(err, broker.ErrNoHistory):
		return problemf(http.StatusNotFound, "%s", text)
	case errors.Is(err, broker.ErrDestination):
		return problemf(http.StatusBadRequest, "%s; want one topic, such as /topic/prices/eu, in a path percent-escaped: %%2Ftopic%%2Fprices%%2Feu", text)
	case errors.Is(err, broker.ErrClosed):
		return problemf(http.StatusServiceUnavailable, "the broker is closed")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problemf(http.StatusServiceUnavailable, "the request was given up before its end; the history may be removed or not")
	}
	a.log.Warn("the store of the histories did not do what the admin API asked for", "error", err)
	return problemf(http.StatusServiceUnavailable, "the store of the histories does not answer as it should, so the history may be removed or not; the log says why")
}
