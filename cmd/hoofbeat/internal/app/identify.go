package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// identify returns the principal of a request that changes nothing, by its
// bearer token or else by the login session of its cookie, as at
// auth.tickets.path. It returns nil for a missing or invalid credential,
// whatever the reason.
func (w *access) identify(r *http.Request) *auth.Principal {
	p := w.holder(r)
	if p == nil || p.Anonymous() || w.revocations.Revoked(p) {
		return nil
	}
	return p
}

func (w *access) holder(r *http.Request) *auth.Principal {
	if token, ok := httpsec.RequestToken(r.Header); ok && w.bearer != nil {
		p, err := w.bearer.Verify(r.Context(), token)
		if err != nil {
			return nil
		}
		return p
	}
	if w.login != nil {
		if p, ok := w.login.Session(r); ok {
			return p
		}
	}
	return nil
}

// spendTicket redeems a ticket that is exchanged for a poll token, and returns
// its principal. Only the log has the reason if the ticket is rejected.
func (w *access) spendTicket(ctx context.Context, value, origin string) (*auth.Principal, error) {
	p, err := w.tickets.Consume(ctx, value, origin)
	if err != nil {
		remote := auth.RemoteOf(ctx)
		key := loglimit.Key{Kind: "a ticket to poll with was not taken", Network: loglimit.Network(remote)}
		level := slog.LevelInfo
		if _, down := errors.AsType[*ticket.StoreError](err); down {
			level = slog.LevelError
		}
		w.quiet.Log(ctx, w.log, level, key, "remote", remote.String(), "error", err)
	}
	return p, err
}
