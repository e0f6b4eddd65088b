package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker"
)

// maxMove limits the messages that one request moves, so that it ends within the
// time that a client waits, and how many it can name.
const maxMove = 1000

// moved is [broker.QueueMoved] as JSON.
type moved struct {
	Moved   int `json:"moved"`
	Skipped int `json:"skipped"`
	// Next is the "after" of the next request, absent if no more are to be moved.
	Next uint64 `json:"next,omitempty"`
}

// move moves messages to another queue.
func (a *api) move(w http.ResponseWriter, r *http.Request) *problem {
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return p
	}
	to, s, err := parseMove(data)
	if err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	from := r.PathValue("queue")
	m, err := a.b.MoveMessages(r.Context(), from, to, s)
	if m.Moved > 0 {
		a.log.Info("messages moved", "queue", brief(from), "to", brief(to), "moved", m.Moved, "remote", r.RemoteAddr)
	}
	if err != nil {
		p := a.queueProblem(err)
		p.Moved = &m.Moved
		return p
	}
	return writeJSON(w, http.StatusOK, moved(m))
}

func parseMove(data []byte) (to string, s broker.QueueSelection, _ error) {
	var target *string
	var count *int
	var after *uint64
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		switch name {
		case "to":
			return nonEmpty(name, value, &target)
		case "count":
			if json.Unmarshal(value, &count) != nil || count != nil && (*count < 1 || *count > maxMove) {
				return fmt.Errorf("%q must be a number from 1 to %d", name, maxMove)
			}
			return nil
		case "after":
			if json.Unmarshal(value, &after) != nil {
				return fmt.Errorf("%q must be the sequence of a message", name)
			}
			return nil
		case "ids":
			return listOf(name, value, "message-ids", &s.IDs)
		case "sequences":
			return listOf(name, value, "sequences", &s.Sequences)
		}
		return fmt.Errorf("there is no field %q, only to, count, after, ids and sequences", name)
	})
	if err != nil {
		return "", s, err
	}
	if target != nil {
		to = *target
	}
	if after != nil {
		s.After = *after
	}
	s.Limit = maxMove
	if count != nil {
		s.Limit = *count
	}
	return to, s, nil
}

// listOf reads a list that must be omitted rather than empty: an empty one is a
// mistake, and must not widen the meaning of the request.
func listOf[T any](name string, value json.RawMessage, what string, list *[]T) error {
	if json.Unmarshal(value, list) != nil || len(*list) > maxMove {
		return fmt.Errorf("%q must be a list of at most %d %s", name, maxMove, what)
	}
	if *list != nil && len(*list) == 0 {
		return fmt.Errorf("%q is empty", name)
	}
	return nil
}
