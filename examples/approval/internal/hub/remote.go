package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Remote uses a broker in a process of its own, `hoofbeat serve`, by its admin
// API. It signs the tickets itself, with the secret that it shares with the
// broker, so that a page gets one even while the broker is down. It is safe for
// concurrent use.
type Remote struct {
	admin, token string
	client       *http.Client
	proxy        *httputil.ReverseProxy
	tickets      *ticket.Issuer
	revocations  *auth.Revocations // of this process: no new tickets for who has left
	logger       *slog.Logger
}

// RemoteOptions configure a Remote. All are required.
type RemoteOptions struct {
	// Broker and Admin are the broker's addresses: http://127.0.0.1:8080 for
	// clients, and http://127.0.0.1:8081 for the admin API.
	Broker, Admin string
	// Token is the token of the admin API, and Secret the broker's
	// auth.tickets.secret.
	Token, Secret string
	Logger        *slog.Logger
}

const (
	remoteTimeout = 5 * time.Second  // of a request to the admin API
	ticketTTL     = 30 * time.Second // a page connects at once
	maxAnswer     = 1 << 20
)

// NewRemote returns a Remote. It does not connect: the broker may start later.
// Call [Remote.Close] to end it.
func NewRemote(o RemoteOptions) (*Remote, error) {
	target, err := url.Parse(o.Broker)
	if err != nil {
		return nil, err
	}
	r := &Remote{admin: o.Admin, token: o.Token, revocations: auth.NewRevocations(), logger: o.Logger}
	r.tickets, err = ticket.New(ticket.NewMemory(), r.revocations, ticket.Options{
		TTL: ticketTTL, Signed: true, Secrets: []ticket.Secret{{ID: "main", Key: []byte(o.Secret)}},
	})
	if err != nil {
		return nil, err
	}
	r.client = &http.Client{Timeout: remoteTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone()}
	r.proxy = &httputil.ReverseProxy{
		// The broker compares the page's origin with the Host header.
		Rewrite:      func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host },
		Transport:    http.DefaultTransport.(*http.Transport).Clone(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { auth.WriteRefusal(w, down()) },
		ErrorLog:     slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return r, nil
}

func down() error {
	return &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "the broker does not answer"}
}

// Close closes the connections to the broker that wait for a request.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	r.proxy.Transport.(*http.Transport).CloseIdleConnections()
	return nil
}

// ServeHTTP forwards a page's WebSocket to the broker.
func (r *Remote) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.proxy.ServeHTTP(w, request)
}

// Tickets returns an endpoint that gives tickets to pages.
func (r *Remote) Tickets(o ticket.HandlerOptions) http.Handler {
	handler, err := r.tickets.Handler(o)
	if err != nil {
		r.logger.Error("ticket endpoint", "error", err)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { auth.WriteRefusal(w, misconfigured()) })
	}
	return handler
}

// Open announces an operation, as [Hub.Open] does.
func (r *Remote) Open(ctx context.Context, o webflow.Operation) error {
	ttl := int((o.TTL + time.Second - 1) / time.Second)
	return r.call(ctx, http.MethodPut, operationPath(o.ID), map[string]any{"ttl": ttl}, nil)
}

// Notify reports the result of an operation, as [Hub.Notify] does.
func (r *Remote) Notify(ctx context.Context, operationID, result string) error {
	return r.call(ctx, http.MethodPost, operationPath(operationID)+"/result", map[string]string{"result": result}, nil)
}

func operationPath(id string) string { return "/api/v1/operations/" + url.PathEscape(id) }

// Tell sends JSON to all windows of a user, as [Hub.Tell] does.
func (r *Remote) Tell(ctx context.Context, user, destination string, body []byte) error {
	return r.call(ctx, http.MethodPost, "/api/v1/users/"+url.PathEscape(user)+"/messages", map[string]string{
		"destination": destination, "body": string(body), "content_type": "application/json",
	}, nil)
}

// Users returns the names of the connected users, in no order. There are none
// while the broker is down.
func (r *Remote) Users() []string {
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout)
	defer cancel()
	var page struct {
		Items []struct{ Name string }
	}
	if err := r.call(ctx, http.MethodGet, "/api/v1/users?limit=1000", nil, &page); err != nil {
		if !errors.Is(err, ErrDown) {
			r.logger.Warn("listing the users", "error", err)
		}
		return nil
	}
	var names []string
	for _, u := range page.Items {
		names = append(names, u.Name)
	}
	return names
}

// Revoke ends the sessions and invalidates the unused tickets of a credential.
// An error means that the broker may not know of it: call it again.
func (r *Remote) Revoke(credential string) error {
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout)
	defer cancel()
	if err := r.revocations.Revoke(ctx, auth.Revocation{Credential: credential}); err != nil {
		return err
	}
	return r.call(ctx, http.MethodPost, "/api/v1/revocations", map[string]string{"credential": credential}, nil)
}

// call sends a request to the admin API and decodes the answer, if answer is
// set. The error is [ErrDown] if the broker does not answer, and
// [webflow.ErrUnknown] if there is no such operation.
func (r *Remote) call(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.admin+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDown, err)
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDown, err)
	case reply.StatusCode == http.StatusNotFound:
		return webflow.ErrUnknown
	case reply.StatusCode == http.StatusServiceUnavailable:
		return ErrDown
	case reply.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("hub: the broker answered %s: %s", reply.Status, data)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(data, answer)
}
