package access

import (
	"github.com/hoofbeat/hoofbeat/auth/webhook"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// makeWebhook creates the client of the backend for auth.webhook.
func (a *Access) makeWebhook(c *config.Config, sets *ruleSets) error {
	k := &c.Auth.Webhook
	if k.URL == "" {
		return nil
	}
	secret, err := k.Secret.Read("auth.webhook.secret")
	if err != nil {
		return err
	}
	events := []webhook.Event{}
	for _, e := range k.Events {
		events = append(events, webhook.Event(e))
	}
	a.webhook, err = webhook.New(webhook.Options{
		URL: k.URL, AllowHTTP: k.AllowHTTP, Secret: secret, Events: events, Headers: k.Headers, FrameHeaders: k.FrameHeaders,
		UserPrefix: k.UserPrefix, Recheck: max(k.Recheck, 0), RecheckGrace: c.Auth.RecheckGrace,
		Timeout: k.Timeout, CacheTTL: k.Cache, Fallback: sets.builtin, Logger: a.log,
	})
	return config.OptionError("auth.webhook", err)
}
