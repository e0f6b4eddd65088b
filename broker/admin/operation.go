package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// maxOperationTTL is webflow.MaxTTL in seconds.
const maxOperationTTL = int(webflow.MaxTTL / time.Second)

// opened answers PUT /operations/{operationId}.
type opened struct {
	OperationID string `json:"operation_id"`
	WebSocketID string `json:"websocket_id"` // the id that the page registers
}

// notified answers POST /operations/{operationId}/result.
type notified struct {
	Delivered bool `json:"delivered"` // false: the result is held for the page
}

// open announces the operation in the path. A repeated request gets the same
// answer, so a caller that got no answer can retry.
func (a *api) open(w http.ResponseWriter, r *http.Request) *problem {
	if a.flow == nil {
		return noFlow()
	}
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return p
	}
	o, err := parseOperation(data)
	if err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	o.ID = r.PathValue("operationId")
	webSocketID, err := a.flow.Open(r.Context(), o)
	if err != nil {
		return unflowed(err)
	}
	return writeJSON(w, http.StatusCreated, opened{o.ID, webSocketID})
}

// waiting answers GET /operations/{operationId}.
type waiting struct {
	OperationID string `json:"operation_id"`
	WebSocketID string `json:"websocket_id"`
	User        string `json:"user"`   // the owner, "" if it is not a user
	Anyone      bool   `json:"anyone"` // the first session that registers it owns it
	Registered  bool   `json:"registered"`
	Session     string `json:"session"`
	Result      string `json:"result"`
	Terminal    bool   `json:"terminal"`
	Delivered   bool   `json:"delivered"`
	Acked       bool   `json:"acknowledged"`
	Expires     int64  `json:"expires"` // seconds since 1970
}

// operation shows the operation in the path.
func (a *api) operation(w http.ResponseWriter, r *http.Request) *problem {
	if a.flow == nil {
		return noFlow()
	}
	if _, p := query(r); p != nil {
		return p
	}
	o, err := a.flow.Lookup(r.Context(), r.PathValue("operationId"))
	if err != nil {
		return unflowed(err)
	}
	return writeJSON(w, http.StatusOK, asWaiting(&o))
}

func asWaiting(o *webflow.Info) waiting {
	return waiting{
		OperationID: o.ID, WebSocketID: o.WebSocketID, User: o.Owner.User, Anyone: o.Owner.Anyone,
		Registered: o.Registered, Session: o.Session, Result: o.Result, Terminal: o.Terminal,
		Delivered: o.Delivered, Acked: o.Acked, Expires: o.Expires.Unix(),
	}
}

// operations lists operations by id, filtered by user (an empty name means
// those not owned by a user) and by whether a page waits for them now.
func (a *api) operations(w http.ResponseWriter, r *http.Request) *problem {
	if a.flow == nil {
		return noFlow()
	}
	q, p := query(r, "user", "registered", "offset", "limit")
	if p != nil {
		return p
	}
	registered, p := choice(q, "registered", "true", "false")
	if p != nil {
		return p
	}
	var all []waiting
	for o := range a.flow.Operations() {
		if q.Has("user") && o.Owner.User != q.Get("user") || q.Has("registered") && o.Registered != (registered == "true") {
			continue
		}
		all = append(all, asWaiting(&o))
	}
	slices.SortFunc(all, func(x, y waiting) int {
		return cmp.Or(cmp.Compare(x.OperationID, y.OperationID), cmp.Compare(x.WebSocketID, y.WebSocketID))
	})
	return answerPage(w, q, all)
}

// notify reports a result of the operation in the path.
func (a *api) notify(w http.ResponseWriter, r *http.Request) *problem {
	if a.flow == nil {
		return noFlow()
	}
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return p
	}
	result, err := parseResult(data)
	if err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	delivered, err := a.flow.Notify(r.Context(), r.PathValue("operationId"), result)
	if errors.Is(err, webflow.ErrResult) {
		return problemf(http.StatusBadRequest, `"result" is not one of the configured results: want one of %s (webflow.results)`, strings.Join(a.flow.Results(), ", "))
	}
	if err != nil {
		return unflowed(err)
	}
	return writeJSON(w, http.StatusOK, notified{delivered})
}

func noFlow() *problem {
	return problemf(http.StatusNotFound, "there are no operations here: admin.Options.Flow is not set")
}

// unflowed converts an error of Flow.Open, Flow.Lookup or Flow.Notify.
func unflowed(err error) *problem {
	detail := strings.TrimPrefix(err.Error(), "webflow: ")
	switch {
	case errors.Is(err, webflow.ErrOperation):
		return problemf(http.StatusBadRequest, "%s", detail)
	case errors.Is(err, webflow.ErrUnknown):
		return problemf(http.StatusNotFound, "there is no such operation, or it has expired")
	case errors.Is(err, webflow.ErrExists), errors.Is(err, webflow.ErrDecided):
		return problemf(http.StatusConflict, "%s", detail)
	case errors.Is(err, webflow.ErrFull):
		p := problemf(http.StatusTooManyRequests, "%s (webflow.max_operations)", detail)
		p.retryAfter = time.Second
		return p
	case errors.Is(err, webflow.ErrTooOften): // permanent: a retry does not help
		return problemf(http.StatusTooManyRequests, "%s", detail)
	case errors.Is(err, webflow.ErrClosed):
		return problemf(http.StatusServiceUnavailable, "no operations are taken any more")
	case errors.Is(err, webflow.ErrUnavailable):
		if full, ok := errors.AsType[*auth.Refusal](err); ok {
			return unkept(full)
		}
		p := problemf(http.StatusServiceUnavailable, "the store of operations does not answer; repeat the request, which does no harm if it was done already")
		p.retryAfter = time.Second
		return p
	}
	return problemf(http.StatusServiceUnavailable, "the request was given up before anything changed")
}

// unkept converts the refusal of a store that has no room.
func unkept(full *auth.Refusal) *problem {
	p := problemf(full.StatusCode(), "%v", full)
	p.retryAfter = full.RetryAfter
	return p
}

// parseOperation parses all of an operation except its id.
func parseOperation(data []byte) (webflow.Operation, error) {
	var (
		o           webflow.Operation
		webSocketID *string
		ttl         *int
	)
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		switch name {
		case "websocket_id":
			return nonEmpty(name, value, &webSocketID)
		case "owner":
			if string(value) == "null" { // like the other fields
				return nil
			}
			var err error
			o.Owner, err = parseOwner(value)
			return err
		case "ttl":
			return seconds(name, value, maxOperationTTL, &ttl)
		}
		return fmt.Errorf("there is no field %q, only websocket_id, owner and ttl", name)
	})
	if err != nil {
		return webflow.Operation{}, err
	}
	if webSocketID != nil {
		o.WebSocketID = *webSocketID
	}
	if ttl != nil {
		o.TTL = time.Duration(*ttl) * time.Second
	}
	return o, nil
}

// parseOwner parses an owner, which must name one: to give the operation to the
// holders of a ticket, callers omit the field.
func parseOwner(data []byte) (webflow.Owner, error) {
	var (
		user   *string
		anyone *bool
	)
	err := members(`"owner"`, data, func(name string, value json.RawMessage) error {
		switch name {
		case "user":
			return text(name, value, &user)
		case "anyone":
			if json.Unmarshal(value, &anyone) != nil || anyone != nil && !*anyone {
				return fmt.Errorf("%q must be true", name)
			}
			return nil
		}
		return fmt.Errorf(`there is no field %q in "owner", only user and anyone`, name)
	})
	switch {
	case err != nil:
		return webflow.Owner{}, err
	case user != nil && anyone == nil:
		return webflow.Owner{User: *user}, auth.ValidName(*user)
	case anyone != nil && user == nil:
		return webflow.Owner{Anyone: true}, nil
	}
	return webflow.Owner{}, errors.New(`"owner" must have exactly one of "user" and "anyone"`)
}

func parseResult(data []byte) (string, error) {
	var result *string
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		if name == "result" {
			return nonEmpty(name, value, &result)
		}
		return fmt.Errorf("there is no field %q, only result", name)
	})
	switch {
	case err != nil:
		return "", err
	case result == nil:
		return "", errors.New(`"result" is missing`)
	}
	return *result, nil
}
