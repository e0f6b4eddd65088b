package app

import (
	"errors"
	"fmt"
	"math"

	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/handlers"
)

// makeHandlers registers the servers that handle what clients send, if
// configured. Handlers of the broker itself are registered before.
func (a *App) makeHandlers() error {
	c := a.o.Config
	if len(c.Handlers) == 0 {
		return nil
	}
	names, err := destinationNames(c)
	if err != nil {
		return err
	}
	o := handlers.Options{Broker: a.broker, Names: names, InFlight: c.HandlersInFlight, Bytes: int64(c.HandlersBytes), Logger: a.o.Logger}
	if c.HandlersBytes == config.Off {
		o.Bytes = math.MaxInt64
	}
	for i, h := range c.Handlers {
		secret, err := h.Secret.Read(fmt.Sprintf("handlers[%d].secret", i))
		if err != nil {
			return err
		}
		o.Handlers = append(o.Handlers, handlers.Handler{
			Destination: h.Destination, URL: h.URL, AllowHTTP: h.AllowHTTP, Secret: secret,
			Timeout: h.Timeout, InFlight: h.InFlight, MaxAnswer: int64(h.Answer), Via: h.Via,
		})
	}
	var problem *handlers.Problem
	if a.handlers, err = handlers.New(o); errors.As(err, &problem) {
		return &config.KeyError{Key: fmt.Sprintf("handlers[%d].%s", problem.Index, problem.Field), Text: problem.Err.Error()}
	}
	return err
}

// closeHandlers ends the requests that are on their way. The broker is closed.
func (a *App) closeHandlers() {
	if a.handlers != nil {
		a.handlers.Close()
	}
}

// handlerStates returns the states of the handlers for the admin API, nil without
// handlers.
func (a *App) handlerStates() func() []admin.HandlerState {
	if a.handlers == nil {
		return nil
	}
	return func() []admin.HandlerState {
		states := a.handlers.States()
		list := make([]admin.HandlerState, len(states))
		for i, s := range states {
			list[i] = admin.HandlerState{Destination: s.Destination, URL: s.URL, InFlight: s.InFlight, Handled: s.Handled, Failed: s.Failed, Broken: since(s.Broken)}
		}
		return list
	}
}
