package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const provider = "{name: a, issuer: 'https://l.example', client_id: b, redirect_url: 'https://a.example/oauth/callback', fetch: "

func TestFetch(t *testing.T) {
	path := write(t, "hoofbeat.yaml", "auth: {oauth: ["+provider+"[{name: mail, url: 'https://m.example/x'}]}]}\n")
	c, err := Load(Sources{File: path, Env: []string{
		"HOOFBEAT_AUTH_OAUTH_0_FETCH_0_EVERY=7s", "HOOFBEAT_AUTH_OAUTH_0_FETCH_1_NAME=tasks", "HOOFBEAT_AUTH_OAUTH_0_FETCH_1_URL=http://127.0.0.1:1/x",
		"HOOFBEAT_AUTH_OAUTH_0_FETCH_1_DESTINATION=/user/tasks",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Fetch{
		{Name: "mail", URL: "https://m.example/x", Every: 7 * time.Second},
		{Name: "tasks", URL: "http://127.0.0.1:1/x", Every: 5 * time.Minute, Destination: "/user/tasks"},
	}
	if got := c.Auth.OAuth[0].Fetch; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for fetch, want := range map[string]string{
		"5}":                                    "auth.oauth[0].fetch: want a list of {name: mail",
		"[{}]}":                                 "auth.oauth[0].fetch[0].name: is missing",
		"[{name: m}]}":                          "auth.oauth[0].fetch[0].url: is missing",
		"[{nam: m}]}":                           "hoofbeat.yaml:1: auth.oauth[0].fetch[0].nam: there is no such key, did you mean name?",
		"[{name: a/b, url: 'https://a'}]}":      "auth.oauth[0].fetch[0].name: \"a/b\" is not accepted",
		"[{name: m, url: 'http://m.example'}]}": "auth.oauth[0].fetch[0].url: is not accepted: want an https URL",
		"[{name: m, url: 'https://u:p@m.example'}]}":                                                   "auth.oauth[0].fetch[0].url: is not accepted: want an https URL",
		"[{name: m, url: 'https://a', every: 100ms}]}":                                                 "auth.oauth[0].fetch[0].every: 100ms is out of range",
		"[{name: m, url: 'https://a'}, {name: m, url: 'https://b'}]}":                                  "auth.oauth[0].fetch[1].name: m is the name of auth.oauth[0].fetch[0] too",
		"[{name: m, url: 'https://a', destination: /topic/m}]}":                                        "auth.oauth[0].fetch[0].destination: \"/topic/m\" is not accepted",
		"[{name: m, url: 'https://a', destination: '/user/queue/*'}]}":                                 "is not accepted: want a private destination",
		"[{name: m, url: 'https://a', destination: /user/ann/queue/m}]}":                               "is not accepted: want a private destination",
		"[{name: m, url: 'https://a', destination: /user/topic//session}]}":                            "is the broker's own",
		"[{name: m, url: 'https://a'}]}]}\nwebsocket: {path: /data/x":                                  "websocket.path: /data/x is taken",
		"[{name: m, url: 'https://a'}]}]}\nwebsocket: {path: /data":                                    "websocket.path: /data is taken: sockjs",
		"[{name: m, url: 'https://a', destination: /user/m}]}]}\nlimits: {outbox: 128KiB, frame: 1KiB": "limits.fetched_answer: 256KiB is more than half of limits.outbox of 128KiB",
	} {
		text := "auth: {oauth: [" + provider + fetch
		if strings.Contains(fetch, "\n") {
			text += "}\n"
		} else {
			text += "]}\n"
		}
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", fetch, err, want)
		}
	}
}
