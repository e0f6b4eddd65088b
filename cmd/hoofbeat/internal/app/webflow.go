package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/events"
)

// pollPaths are the paths of [webflow.Flow.PollHandler], for every method.
var pollPaths = []string{"/operations/{webSocketId}/result", "/operations/{webSocketId}/poll-token"}

// pollHandler serves pages that wait without a WebSocket. The broker decides
// which pages may use it, so a reload of websocket.origins applies. The
// requests that credentials cause, for example to an introspection endpoint,
// are divided among the client addresses.
func (a *App) pollHandler() http.Handler {
	polls := a.flow.PollHandler(webflow.HandlerOptions{
		Identify: a.access.Identify, Cookies: a.access.Login != nil, Ticket: a.access.SpendTicket,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		polls.ServeHTTP(w, r.WithContext(auth.WithRemote(r.Context(), a.access.ClientAddress(r))))
	})
}

// makeFlow adds Web Flow to the broker, if enabled.
func (a *App) makeFlow() error {
	if !a.o.Config.WebFlow.Enabled {
		return nil
	}
	o, err := flowOptions(a.o.Config)
	if err != nil {
		return err
	}
	o.Logger, o.Abandoned = a.o.Logger, a.abandoned
	a.keepOperations(&o)
	if err := a.makeWebFlowEvents(&o); err != nil {
		return err
	}
	if a.flow, err = webflow.New(a.broker, o); err != nil {
		return config.OptionError("webflow", err)
	}
	a.access.MayWait = a.flow.MayWait
	return nil
}

// abandoned logs that a page has disconnected and not returned within
// webflow.grace.
func (a *App) abandoned(e webflow.Event) {
	attrs := []any{"operation", e.OperationID, "user", e.User, "session", e.Session, "code", e.Code}
	if e.User == "" { // any client can register and leave repeatedly
		a.quiet.Log(context.Background(), a.o.Logger, slog.LevelInfo, loglimit.Key{Kind: "operation abandoned"}, attrs...)
		return
	}
	a.o.Logger.Info("operation abandoned", attrs...)
}

// makeWebFlowEvents sends the events of waiting pages to the application, if
// configured.
func (a *App) makeWebFlowEvents(o *webflow.Options) error {
	k := &a.o.Config.WebFlow.Events
	if k.URL == "" {
		return nil
	}
	secret, err := k.Secret.Read("webflow.events.secret")
	if err != nil {
		return err
	}
	s, err := events.ForWebFlow(events.Options{URL: k.URL, AllowHTTP: k.AllowHTTP, Secret: secret, Logger: a.o.Logger})
	if err != nil {
		return config.OptionError("webflow.events.url", err)
	}
	a.events = append(a.events, s)
	abandoned := s.Callback("abandoned")
	o.Abandoned = func(e webflow.Event) {
		a.abandoned(e)
		abandoned(e)
	}
	o.Registered, o.Lost, o.Expired = s.Callback("registered"), s.Callback("lost"), s.Callback("expired")
	o.Delivered, o.Acknowledged = s.Callback("delivered"), s.Callback("acknowledged")
	return nil
}

// flowOptions copies the section. [config.Off] also means no limit to webflow.
func flowOptions(c *config.Config) (webflow.Options, error) {
	const key = "webflow.hmac_key"
	w := &c.WebFlow
	o := webflow.Options{TTL: w.TTL, Grace: w.Grace, ExpiredResult: w.ExpiredResult, MaxOperations: w.MaxOperations, MaxPerUser: w.MaxOperationsPerUser}
	o.AuthResults, o.Interim = w.Results, w.InterimResults()
	if c.OpenRegistration() {
		o.Registration = webflow.Open
	}
	if w.Reply == "minimal" {
		o.Reply = webflow.Minimal
	}
	if w.Policy == "last_wins" {
		o.Policy = webflow.LastWins
	}
	text, err := w.HMACKey.Read(key)
	switch {
	case err != nil:
		return webflow.Options{}, err
	case text != "" && len(text) < auth.MinSecretBytes:
		return webflow.Options{}, &config.KeyError{Key: key, Text: "is too short: want 32 characters or more"}
	case text != "":
		o.HMACKey = []byte(text)
	}
	return o, nil
}
