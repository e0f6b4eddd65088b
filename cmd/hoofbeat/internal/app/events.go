package app

import (
	"context"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/events"
)

// makeEvents sends the events of sessions to the application, if configured.
func (a *App) makeEvents() error {
	k := &a.o.Config.Events
	selection, err := selectEvents(a.o.Config)
	if err != nil || k.URL == "" {
		return err
	}
	secret, err := k.Secret.Read("events.secret")
	if err != nil {
		return err
	}
	s, err := events.ForSessions(events.Options{URL: k.URL, AllowHTTP: k.AllowHTTP, Secret: secret, MaxBytes: int(k.Bytes), Logger: a.o.Logger})
	if err != nil {
		return config.OptionError("events.url", err)
	}
	a.events = append(a.events, s)
	selection.Node = a.broker.Stats().Node
	observer, err := s.Observer(selection)
	if err != nil {
		return config.OptionError("events.types", err)
	}
	a.broker.Observe(observer)
	return nil
}

// selectEvents returns which events of sessions are sent.
func selectEvents(c *config.Config) (events.Selection, error) {
	names, err := destinationNames(c)
	if err != nil {
		return events.Selection{}, err
	}
	destinations, err := events.NewDestinations(names, c.Events.Destinations)
	if err != nil {
		return events.Selection{}, config.OptionError("events.destinations", err)
	}
	return events.Selection{Types: c.Events.Types, Destinations: destinations}, nil
}

// eventsStates returns the states of the back ends for the admin API.
func (a *App) eventsStates() []admin.EventsState {
	list := make([]admin.EventsState, len(a.events))
	for i, s := range a.events {
		st := s.State()
		list[i] = admin.EventsState{Key: st.Key, URL: st.URL, Waiting: st.Waiting, Bytes: st.Bytes, Delivered: st.Delivered, Dropped: st.Dropped, Failing: since(st.Failing)}
	}
	return list
}

// since returns a time for the admin API, nil if it is zero.
func since(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// closeEvents sends the remaining events, within eventsFarewell or until
// Abandon.
func (a *App) closeEvents() {
	ctx, cancel := context.WithTimeout(a.patience, eventsFarewell)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range a.events {
		all.Go(func() { s.Close(ctx) })
	}
	all.Wait()
}

// eventsFarewell is how long the shutdown waits for the application to accept
// events.
const eventsFarewell = 5 * time.Second
