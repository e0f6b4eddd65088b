package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/broker"
)

// optionKeys maps the fields of options to their configuration keys; [] stands
// for the number of an item.
var optionKeys = map[string]string{
	"broker: Options.Origins":               "websocket.origins",
	"broker: Options.Hosts":                 "websocket.hosts",
	"broker: Options.Destinations":          "destinations",
	"broker: Options.Limits.Outbox":         "limits.outbox",
	"broker: Options.Limits.NUL":            "limits.nul",
	"broker: Options.Nodes":                 "nodes",
	"broker: Options.History[].Destination": "history[].destination",
	"broker: Options.History[].Bytes":       "history[].bytes",
	"broker: Options.Presence":              "presence",
	"broker: Options.Durable[].Destination": "durable[].destination",
	"broker: Options.Queues.Mode":           "queues.mode",
	"broker: Options.Queues.Transient":      "queues.transient",
	"broker: Options.Queues.Expired":        "queues.expired",
	"broker: Options.HeartBeat.Send":        "heartbeat.send",
	"broker: Options.HeartBeat.Receive":     "heartbeat.expect",
	"broker: Options.HeartBeatPatience":     "heartbeat.patience",
	"broker: Options.PingInterval":          "heartbeat.ping",
	"broker: Options.WriteDeadline":         "limits.write_deadline",

	"ticket: HandlerOptions.Origins": "websocket.origins",
	"ticket: Options.TTL":            "auth.tickets.ttl",
	"ticket: Options.Signed":         "auth.tickets.signed",
	"ticket: Options.Rate":           "auth.tickets.rate",
	"ticket: Options.Burst":          "auth.tickets.burst",
	"ticket: Options.Secrets":        "auth.tickets.secret",

	"bearer: Options.JWT[].Issuer":                 "auth.jwt[].issuer",
	"bearer: Options.JWT[].Audience":               "auth.jwt[].audience",
	"bearer: Options.JWT[].JWKS":                   "auth.jwt[].jwks",
	"bearer: Options.JWT[].Algorithms":             "auth.jwt[].algorithms",
	"bearer: Options.JWT[].Leeway":                 "auth.jwt[].leeway",
	"bearer: Options.JWT[].Scopes":                 "auth.jwt[].scopes",
	"bearer: Options.Introspection[].URL":          "auth.introspection[].url",
	"bearer: Options.Introspection[].ClientSecret": "auth.introspection[].client_secret",
	"bearer: Options.Introspection[].Scopes":       "auth.introspection[].scopes",
	"bearer: Options.UserInfo[].URL":               "auth.userinfo[].url",
	"bearer: Options.UserInfo[].Scopes":            "auth.userinfo[].scopes",

	"oauth: Options.SessionTTL":                "auth.sessions.ttl",
	"oauth: Options.MaxSessionsPerUser":        "auth.sessions.per_user",
	"oauth: Options.Cookie":                    "auth.sessions.cookie",
	"oauth: Options.AfterLogin":                "auth.sessions.after_login",
	"oauth: Options.AfterLogout":               "auth.sessions.after_logout",
	"oauth: Options.Providers[].Name":          "auth.oauth[].name",
	"oauth: Options.Providers[].Issuer":        "auth.oauth[].issuer",
	"oauth: Options.Providers[].ClientID":      "auth.oauth[].client_id",
	"oauth: Options.Providers[].ClientSecret":  "auth.oauth[].client_secret",
	"oauth: Options.Providers[].RedirectURL":   "auth.oauth[].redirect_url",
	"oauth: Options.Providers[].AuthStyle":     "auth.oauth[].auth_style",
	"oauth: Options.Providers[].AuthParams":    "auth.oauth[].auth_params",
	"oauth: Options.Providers[].UserPrefix":    "auth.oauth[].user_prefix",
	"oauth: Options.Providers[].AuthURL":       "auth.oauth[].auth_url",
	"oauth: Options.Providers[].TokenURL":      "auth.oauth[].token_url",
	"oauth: Options.Providers[].RevocationURL": "auth.oauth[].revocation_url",
	"oauth: Options.Providers[].UserInfoURL":   "auth.oauth[].userinfo_url",
	"oauth: Options.Providers[].JWKSURL":       "auth.oauth[].jwks_url",

	"webhook: Options.URL":          "auth.webhook.url",
	"webhook: Options.Events":       "auth.webhook.events",
	"webhook: Options.Headers":      "auth.webhook.headers",
	"webhook: Options.FrameHeaders": "auth.webhook.frame_headers",
	"webhook: Options.Recheck":      "auth.webhook.recheck",
	"webhook: Options.Timeout":      "auth.webhook.timeout",
	"webhook: Options.CacheTTL":     "auth.webhook.cache",

	"webflow: Options.Registration":  "webflow.registration",
	"webflow: Options.Reply":         "webflow.reply",
	"webflow: Options.Policy":        "webflow.policy",
	"webflow: Options.TTL":           "webflow.ttl",
	"webflow: Options.Grace":         "webflow.grace",
	"webflow: Options.HMACKey":       "webflow.hmac_key",
	"webflow: Options.AuthResults":   "webflow.results",
	"webflow: Options.Interim":       "webflow.interim",
	"webflow: Options.ExpiredResult": "webflow.expired_result",
}

var itemNumber = regexp.MustCompile(`\[(\d+)\]`)

// keyOf returns the configuration key of an option, or "" if it has none.
func keyOf(of, field string) string {
	key := optionKeys[of+"."+itemNumber.ReplaceAllString(field, "[]")]
	if n := itemNumber.FindString(field); n != "" {
		key = strings.Replace(key, "[]", n, 1)
	}
	return key
}

// OptionError turns a package's error about its options into an error about a key:
// that of the option, or otherwise the given one. Those errors contain no
// secrets. It returns nil for nil, and does not change an error about a key.
func OptionError(key string, err error) error {
	var known *KeyError
	if err == nil || errors.As(err, &known) {
		return err
	}
	var (
		ofBroker *broker.OptionError
		option   *auth.OptionError
		user     *users.UserError
	)
	text := err.Error()
	switch {
	case errors.As(err, &ofBroker):
		text = ofBroker.Problem
		if k := keyOf("broker: Options", ofBroker.Field); k != "" {
			key = k
		}
	case errors.As(err, &option):
		text = option.Err.Error()
		if k := keyOf(option.Of, option.Field); k != "" {
			key = k
		}
	case errors.As(err, &user):
		text = "the user " + user.Name + ": " + user.Err.Error()
	}
	return &KeyError{Key: key, Text: text}
}
