package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// SockJS options are derived from other keys.
func TestSockJSOptions(t *testing.T) {
	const oauth = "auth: {sessions: {cookie: login}, oauth: [{name: a, client_id: b, redirect_url: \"%s://a.example/oauth/callback\"}]}\n"
	for yaml, want := range map[string]sockjs.Options{
		"sockjs: true": {Prefix: "/ws", OwnCookie: "hoofbeat-sockjs", HeartBeat: 20 * time.Second, Sessions: 10_000, BodyLimit: 256 << 10},
		"websocket: {path: /a}\nheartbeat: {ping: 15s}\nlimits: {frame: 1MiB, outbox: 2MiB, sockjs_sessions: off}\nsockjs_cookie: \"\"": {
			Prefix: "/a", HeartBeat: 15 * time.Second, Sessions: -1, BodyLimit: 4 << 20,
		},
		"heartbeat: {ping: off}\nlimits: {frame: off, outbox: off}\nqueues: {bytes: off}\ncompatibility: spring": {
			Prefix: "/ws", OwnCookie: "JSESSIONID", HeartBeat: 20 * time.Second, Sessions: 10_000, BodyLimit: -1,
		},
		"heartbeat: {expect: off}":            {Prefix: "/ws", OwnCookie: "hoofbeat-sockjs", HeartBeat: 25 * time.Second, Sessions: 10_000, BodyLimit: 256 << 10},
		"heartbeat: {expect: off, ping: off}": {Prefix: "/ws", OwnCookie: "hoofbeat-sockjs", HeartBeat: -1, Sessions: 10_000, BodyLimit: 256 << 10},
		fmt.Sprintf(oauth, "https"):           {Prefix: "/ws", Cookie: "__Host-login", OwnCookie: "hoofbeat-sockjs", HeartBeat: 20 * time.Second, Sessions: 10_000, BodyLimit: 256 << 10},
		fmt.Sprintf(oauth, "http"):            {Prefix: "/ws", Cookie: "login", OwnCookie: "hoofbeat-sockjs", HeartBeat: 20 * time.Second, Sessions: 10_000, BodyLimit: 256 << 10},
	} {
		if got := sockJSOptions(configtest.Load(t, yaml)); got != want {
			t.Errorf("%s:\n%+v, want\n%+v", yaml, got, want)
		}
	}
	if brokerOptions(config.Default()).Selector != nil || brokerOptions(configtest.Load(t, "selectors: true")).Selector == nil {
		t.Error("selectors are there when they are not asked for, or not when they are")
	}
}
