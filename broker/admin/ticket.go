package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// maxTTL is ticket.MaxTTL in seconds. Options.Tickets may allow less.
const maxTTL = int(ticket.MaxTTL / time.Second)

// minted answers POST /tickets. The ticket appears only here, in no other
// answer, log or error.
type minted struct {
	Ticket  string `json:"ticket"`
	Expires int64  `json:"expires"` // seconds since 1970, as in the answer of /ws_ticket
}

func (a *api) mint(w http.ResponseWriter, r *http.Request) *problem {
	if a.tickets == nil {
		return problemf(http.StatusNotFound, "there are no tickets here: admin.Options.Tickets is not set")
	}
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return p
	}
	g, err := parseGrant(data)
	if err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	mint := a.tickets.Mint
	if g.Principal == nil {
		mint = a.mintBackend
	}
	t, err := mint(r.Context(), g)
	if err != nil {
		if down, ok := errors.AsType[*ticket.StoreError](err); ok {
			a.log.Error("no ticket could be minted", "error", down)
		}
		return unminted(err)
	}
	return writeJSON(w, http.StatusCreated, minted{t.Value, t.Expires.Unix()})
}

// mintBackend mints an anonymous ticket with the role backend. "@admin" is not
// the name of any secret.
func (a *api) mintBackend(ctx context.Context, g ticket.Grant) (ticket.Ticket, error) {
	return a.tickets.MintBackendFor(ctx, "@admin", g)
}

// unminted converts an error of Issuer.Mint.
func unminted(err error) *problem {
	var no *auth.Refusal
	switch {
	case errors.As(err, &no) && (no.StatusCode() == http.StatusTooManyRequests || no.StatusCode() == http.StatusServiceUnavailable):
		p := problemf(no.StatusCode(), "%v", no)
		p.retryAfter = no.RetryAfter
		return p
	case errors.As(err, &no): // a new credential can be refused for no other reason
		return problemf(http.StatusConflict, "the user was revoked while the ticket was being minted")
	case errors.Is(err, ticket.ErrTTL):
		return problemf(http.StatusBadRequest, `"ttl" is longer than tickets may live here`)
	case errors.Is(err, ticket.ErrOperation):
		return problemf(http.StatusBadRequest, `"operation" must be at most %d bytes of text without control characters`, auth.MaxOperationBytes)
	case errors.Is(err, ticket.ErrOrigin):
		return problemf(http.StatusBadRequest, `"origin" must be a scheme, a host and perhaps a port, such as https://app.example.com`)
	case errors.Is(err, ticket.ErrContent):
		return problemf(http.StatusBadRequest, "the grant does not fit into a signed ticket of %d bytes", ticket.MaxBytes)
	}
	return problemf(http.StatusServiceUnavailable, "the request was given up before the ticket was minted")
}

func parseGrant(data []byte) (ticket.Grant, error) {
	var (
		user, operation, origin *string
		roles                   []string
		backend                 bool
		ttl                     *int
	)
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		switch name {
		case "user":
			return text(name, value, &user)
		case "roles":
			// A null in the array would become an empty string.
			if json.Unmarshal(value, &roles) != nil || slices.Contains(roles, "") {
				return fmt.Errorf("%q must be an array of strings that are not empty", name)
			}
			return nil
		case "backend":
			if string(value) != "true" && string(value) != "false" {
				return fmt.Errorf("%q must be true or false", name)
			}
			backend = string(value) == "true"
			return nil
		case "ttl":
			return seconds(name, value, maxTTL, &ttl)
		case "operation":
			return nonEmpty(name, value, &operation)
		case "origin":
			return nonEmpty(name, value, &origin)
		}
		return fmt.Errorf("there is no field %q, only user, roles, backend, ttl, operation and origin", name)
	})
	if err != nil {
		return ticket.Grant{}, err
	}
	var g ticket.Grant
	switch {
	case backend && (user != nil || roles != nil):
		return ticket.Grant{}, errors.New(`"backend" is for nobody in particular, so there can be no "user" and no "roles" with it`)
	case backend:
	case user == nil:
		return ticket.Grant{}, errors.New(`"user" is missing`)
	default:
		if err := auth.ValidName(*user); err != nil {
			return ticket.Grant{}, err
		}
		g.Principal = &auth.Principal{Name: *user, Roles: roles}
	}
	if ttl != nil {
		g.TTL = time.Duration(*ttl) * time.Second
	}
	if operation != nil {
		g.Operation = *operation
	}
	if origin != nil {
		g.Origin = *origin
	}
	return g, nil
}
