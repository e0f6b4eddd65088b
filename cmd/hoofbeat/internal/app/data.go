package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/fetch"
)

// dataPath is the path of the answers fetched for the requesting user.
const dataPath = config.DataPath + "{name}"

// makeFetcher creates the fetcher for auth.oauth[].fetch, if configured.
// Clients cannot send to its destinations.
func (a *App) makeFetcher() error {
	c := a.o.Config
	names, err := destinationNames(c)
	if err != nil {
		return err
	}
	var sources []fetch.Source
	for i, p := range c.Auth.OAuth {
		for j, f := range p.Fetch {
			sources = append(sources, fetch.Source{Name: f.Name, Provider: p.Name, URL: f.URL, Every: f.Every, Destination: f.Destination})
			if f.Destination == "" {
				continue
			}
			key := fmt.Sprintf("auth.oauth[%d].fetch[%d].destination", i, j)
			d, err := names.ParseSubscription(f.Destination)
			if err != nil {
				return config.OptionError(key, err)
			}
			if err := a.broker.Reserve(d.Path); err != nil {
				return config.OptionError(key, err)
			}
		}
	}
	if len(sources) == 0 {
		return nil
	}
	a.fetcher = fetch.New(fetch.Options{
		Sources: sources, Grants: a.access.Login, Publish: a.publishFetched, Logger: a.o.Logger,
		MaxBody: int64(c.Limits.FetchedAnswer), MaxKept: int64(c.Limits.FetchedAnswers),
	})
	return nil
}

func (a *App) publishFetched(ctx context.Context, user, destination string, answer fetch.Answer) error {
	_, err := a.broker.PublishToUser(ctx, user, &broker.Message{
		Destination: destination, Headers: []broker.Header{{Name: "content-type", Value: answer.Type}}, Body: answer.Body,
	})
	return err
}

// startFetching runs the fetcher until close.
func (a *App) startFetching() {
	if a.fetcher != nil {
		a.fetching.Go(func() { a.fetcher.Run(a.serving) })
	}
}

// data serves GET /data/{name}: the answer fetched for the user of the session
// cookie. It sends no CORS headers, so pages of other sites cannot read it.
func (a *App) data(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	fail := func(status int, text string) {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // the client may be gone
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		fail(http.StatusMethodNotAllowed, "want GET")
		return
	}
	p := a.access.SignedIn(r)
	if p == nil {
		fail(http.StatusUnauthorized, "sign in first, at /oauth/login")
		return
	}
	answer, ok := a.fetcher.Last(r.PathValue("name"), p.Name)
	switch {
	case !ok:
		fail(http.StatusNotFound, "nothing has been fetched under this name for this user")
		return
	case answer.Reconsent:
		h.Set("Hoofbeat-Reconsent-Needed", answer.Provider)
		if answer.Body == nil {
			fail(http.StatusConflict, "reconsent-needed: the provider no longer accepts its grant, so the user must sign in there again")
			return
		}
	}
	h.Set("Content-Type", answer.Type)
	h.Set("Last-Modified", answer.Fetched.UTC().Format(http.TimeFormat))
	_, _ = w.Write(answer.Body) // the client may be gone
}
