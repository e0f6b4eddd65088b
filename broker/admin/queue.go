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

// queue is [broker.QueueInfo] as JSON.
type queue struct {
	Name           string `json:"name"`
	Messages       int    `json:"messages"`
	Bytes          int64  `json:"bytes"`
	Unacknowledged int    `json:"unacknowledged"`
	Consumers      int    `json:"consumers"`
	// DeadLettersOf is the queue whose dead letters these are.
	DeadLettersOf string `json:"dead_letters_of,omitempty"`
	// Oldest is the age of the oldest message in seconds.
	Oldest *float64 `json:"oldest,omitempty"`
}

func newQueue(q broker.QueueInfo) queue {
	out := queue{
		Name: q.Name, Messages: q.Messages, Bytes: q.Bytes, Unacknowledged: q.Unacknowledged, Consumers: q.Consumers,
		DeadLettersOf: q.DeadLettersOf,
	}
	if !q.Oldest.IsZero() {
		age := max(time.Since(q.Oldest), 0).Round(time.Millisecond).Seconds()
		out.Oldest = &age
	}
	return out
}

// age is the age of the oldest message, the smallest number if it is not known.
func (q *queue) age() float64 {
	if q.Oldest == nil {
		return -1
	}
	return *q.Oldest
}

// queues lists the work queues.
func (a *api) queues(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "prefix", "dead_letters", "sort", "order", "offset", "limit")
	if p != nil {
		return p
	}
	by, p := choice(q, "sort", "name", "messages", "bytes", "consumers", "unacknowledged", "oldest")
	if p != nil {
		return p
	}
	dead, p := choice(q, "dead_letters", "", "true", "false")
	if p != nil {
		return p
	}
	var all []queue
	for info := range a.b.Queues() {
		isDead := "false"
		if info.DeadLettersOf != "" {
			isDead = "true"
		}
		if strings.HasPrefix(info.Name, q.Get("prefix")) && (dead == "" || dead == isDead) {
			all = append(all, newQueue(info))
		}
	}
	if p := queueOrder(by).sort(q, all); p != nil {
		return p
	}
	return answerPage(w, q, all)
}

// queueOrder returns the order for a sort key: figures sort from the largest
// down.
func queueOrder(by string) ordering[queue] {
	o := ordering[queue]{order: "desc", name: func(q *queue) string { return q.Name }}
	switch by {
	case "messages":
		o.compare = func(x, y *queue) int { return cmp.Compare(x.Messages, y.Messages) }
	case "bytes":
		o.compare = func(x, y *queue) int { return cmp.Compare(x.Bytes, y.Bytes) }
	case "consumers":
		o.compare = func(x, y *queue) int { return cmp.Compare(x.Consumers, y.Consumers) }
	case "unacknowledged":
		o.compare = func(x, y *queue) int { return cmp.Compare(x.Unacknowledged, y.Unacknowledged) }
	case "oldest":
		o.compare = func(x, y *queue) int { return cmp.Compare(x.age(), y.age()) }
	default:
		o.compare, o.order = func(x, y *queue) int { return cmp.Compare(x.Name, y.Name) }, "asc"
	}
	return o
}

// queue shows one work queue.
func (a *api) queue(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	info, err := a.b.Queue(r.PathValue("queue"))
	if err != nil {
		return a.queueProblem(err)
	}
	return writeJSON(w, http.StatusOK, newQueue(info))
}

// removed answers requests that remove messages.
type removed struct {
	Removed int `json:"removed"`
}

// deleteMessages removes all waiting messages of a queue, which the caller must
// confirm, or the one with a message-id. It leaves unsettled messages with their
// consumers.
func (a *api) deleteMessages(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "confirm", "id")
	if p != nil {
		return p
	}
	if q.Has("id") {
		if q.Has("confirm") || q.Get("id") == "" {
			return problemf(http.StatusBadRequest, "nothing was removed: want either id, the message-id of one message, or confirm=true to remove all")
		}
		return a.removeOne(w, r, broker.QueueSelection{IDs: []string{q.Get("id")}})
	}
	name := r.PathValue("queue")
	if q.Get("confirm") != "true" {
		return problemf(http.StatusBadRequest, "nothing was removed: to remove all messages that wait in the queue, repeat the request with confirm=true; to remove one, give its id")
	}
	n, err := a.b.Purge(name)
	if err != nil {
		return a.queueProblem(err)
	}
	a.log.Info("queue purged", "queue", brief(name), "removed", n, "remote", r.RemoteAddr)
	return writeJSON(w, http.StatusOK, removed{n})
}

// removeOne removes the message that s names.
func (a *api) removeOne(w http.ResponseWriter, r *http.Request, s broker.QueueSelection) *problem {
	name := r.PathValue("queue")
	out, err := a.b.RemoveMessages(r.Context(), name, s)
	switch {
	case err != nil:
		return a.queueProblem(err)
	case out.Removed == 0 && out.Held > 0:
		return problemf(http.StatusConflict, "a consumer has the message and has not acknowledged it, so it stays")
	case out.Removed == 0:
		return problemf(http.StatusNotFound, "the queue has no such message")
	}
	a.log.Info("message removed from its queue", "queue", brief(name), "ids", brief(strings.Join(s.IDs, " ")), "sequences", s.Sequences, "removed", out.Removed, "remote", r.RemoteAddr)
	return writeJSON(w, http.StatusOK, removed{out.Removed})
}

// queueProblem returns the answer for an error about a queue.
func (a *api) queueProblem(err error) *problem {
	switch {
	case errors.Is(err, broker.ErrNoQueue):
		return problemf(http.StatusNotFound, "there is no such queue: it has neither messages nor consumers")
	case errors.Is(err, broker.ErrDestination):
		return problemf(http.StatusBadRequest, "%s; want one queue that is kept, such as /queue/jobs, in a path percent-escaped: %%2Fqueue%%2Fjobs", strings.TrimPrefix(err.Error(), "broker: "))
	case errors.Is(err, broker.ErrQueueFull):
		p := problemf(http.StatusTooManyRequests, "%s", strings.TrimPrefix(err.Error(), "broker: "))
		p.retryAfter = time.Second
		return p
	case errors.Is(err, broker.ErrClosed):
		return problemf(http.StatusServiceUnavailable, "the broker is closed")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problemf(http.StatusServiceUnavailable, "the request was given up before its end")
	}
	a.log.Warn("the store of the queues did not do what the admin API asked for", "error", err)
	return problemf(http.StatusServiceUnavailable, "the store of the queues does not answer as it should; the log says why")
}
