package app

import (
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// pollPaths are where [webflow.Flow.PollHandler] answers, whatever the method.
var pollPaths = []string{"/operations/{webSocketId}/result", "/operations/{webSocketId}/poll-token"}

// pollHandler serves pages that wait without a WebSocket.
func (a *App) pollHandler() http.Handler {
	return a.flow.PollHandler(webflow.HandlerOptions{Identify: a.who.identify, Ticket: a.who.spendTicket})
}

// makeFlow adds Web Flow to the broker, if it is asked for.
func (a *App) makeFlow() error {
	if !a.o.Config.WebFlow.Enabled {
		return nil
	}
	o, err := flowOptions(a.o.Config)
	if err != nil {
		return err
	}
	o.Logger, o.Abandoned = a.o.Logger, a.abandoned
	a.flow, err = webflow.New(a.broker, o)
	a.who.flow = a.flow
	return wrong("webflow", err)
}

// abandoned is called when a page has gone and not come back within webflow.grace.
func (a *App) abandoned(e webflow.Event) {
	a.o.Logger.Info("operation abandoned", "operation", e.OperationID, "user", e.User, "session", e.Session, "code", e.Code)
}

// flowOptions copies the section. [config.Off] is what webflow calls no limit, too.
func flowOptions(c *config.Config) (webflow.Options, error) {
	const key = "webflow.hmac_key"
	w := &c.WebFlow
	o := webflow.Options{TTL: w.TTL, Grace: w.Grace, ExpiredResult: w.ExpiredResult, MaxOperations: w.MaxOperations, MaxPerUser: w.MaxOperationsPerUser}
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
