package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNewNamesTheField(t *testing.T) {
	const good = "https://app.example.com/hoofbeat"
	for field, list := range map[string][]Options{
		"URL": {
			{}, {URL: "app.example.com"}, {URL: "ftp://example.com"}, {URL: "https://"}, {URL: "https:example.com"},
			{URL: "https://user:" + secretText + "@example.com"}, {URL: "https://example.com/#f"}, {URL: "https://a b/"},
			{URL: "http://app.example.com/?key=" + secretText}, {URL: "http://10.0.0.1/"}, {URL: "http://localhost.example.com"},
			{URL: "http://127.0.0.1.example.com"}, {URL: "http://[::]/"}, {URL: "http://0.0.0.0/"},
		},
		"Events":       {{URL: good, Events: []Event{"publish"}}, {URL: good, Events: []Event{Connect, ""}}},
		"Headers":      {{URL: good, Headers: []string{""}}},
		"FrameHeaders": {{URL: good, FrameHeaders: []string{"a", ""}}},
		"Timeout":      {{URL: good, Timeout: -1}},
		"Concurrency":  {{URL: good, Concurrency: -1}},
		"CacheTTL":     {{URL: good, CacheTTL: MaxAge + 1}},
	} {
		for _, o := range list {
			w, err := New(o)
			if w != nil || err == nil || !strings.HasPrefix(err.Error(), "webhook: Options."+field+": ") {
				t.Errorf("error is %v, want one about %s", err, field)
			} else if strings.Contains(err.Error(), secretText) {
				t.Errorf("a secret is in the error %q", err)
			}
		}
	}
}

func TestNewTakes(t *testing.T) {
	for _, o := range []Options{
		{URL: "https://app.example.com/hook?key=k"}, {URL: "http://localhost:3000"}, {URL: "http://app.localhost/"},
		{URL: "http://127.8.9.1:80/x"}, {URL: "http://[::1]:80/x"}, {URL: "http://[::ffff:127.0.0.1]/"},
		{URL: "http://app.example.com", AllowHTTP: true}, {URL: "HTTPS://APP.EXAMPLE.COM"},
		{URL: inMemory, Events: []Event{Handshake, Connect, Renew, Subscribe, Send}, CacheTTL: MaxAge},
	} {
		w := newHook(t, o)
		if w.timeout != DefaultTimeout || w.identities.Limits().Turns != DefaultConcurrency || w.cache.size != DefaultCacheSize {
			t.Errorf("%s: the defaults are %v, %d, %d", o.URL, w.timeout, w.identities.Limits().Turns, w.cache.size)
		}
	}
}

func TestNewCopies(t *testing.T) {
	client := &http.Client{Timeout: time.Minute}
	o := Options{URL: inMemory, Client: client, Events: []Event{Connect}, Headers: []string{"Cookie"}}
	w := newHook(t, o)
	o.Events[0], o.Headers[0] = Send, "Authorization"
	if !w.asks(Connect) || w.headers[0] != "Cookie" {
		t.Error("a change after New has an effect")
	}
	if client.CheckRedirect != nil {
		t.Error("the client that was given has been changed")
	}
}

func TestStringHasNoSecret(t *testing.T) {
	w := newHook(t, Options{URL: inMemory + "?key=" + secretText, Secret: secretText})
	for _, format := range []string{"%v", "%+v", "%s"} {
		if text := fmt.Sprintf(format, w); text != "webhook "+inMemory {
			t.Errorf("%s gives %q", format, text)
		}
	}
}
