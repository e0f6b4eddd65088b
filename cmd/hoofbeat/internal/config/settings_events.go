package config

import (
	"fmt"
	"slices"
	"strings"
)

// Events is the section events.
type Events struct {
	// URL of your application. It gets POSTs with a JSON array of events, for
	// sessions that connect and disconnect and for their subscriptions: in
	// order, each at least once. See docs/events.md. Events about waiting pages
	// have webflow.events.
	URL string `key:"events.url" is:"url" needs:"-"`
	// Key that signs the events, like auth.webhook.secret.
	Secret Secret `key:"events.secret"`
	// Events that are sent.
	Types []string `key:"events.types" is:"session events" default:"connected,disconnected,subscribed,unsubscribed"`
	// Destinations whose subscriptions are reported by subscribed and
	// unsubscribed: Ant patterns. Empty: all.
	Destinations []string `key:"events.destinations" want:"patterns such as /topic/room/**" needs:"subscription-events"`
	// Memory of the events that wait while your application does not accept
	// them. Beyond it the oldest is dropped, and the next event says how many
	// are missing.
	Bytes Bytes `key:"events.bytes" default:"16MiB" range:"64KiB to 64GiB"`
	// Accept an http URL to an address other than loopback. Anyone on the
	// network path can read the events.
	AllowHTTP bool `key:"events.allow_http"`
}

var sessionEvents = []string{"connected", "disconnected", "subscribed", "unsubscribed"}

func sessionEvent(s string) error {
	if slices.Contains(sessionEvents, s) {
		return nil
	}
	return fmt.Errorf("%q is not accepted: want connected, disconnected, subscribed or unsubscribed", s)
}

// reportsSubscriptions reports whether there are events about subscriptions.
func (e *Events) reportsSubscriptions() bool {
	return slices.ContainsFunc(e.Types, func(s string) bool { return strings.HasSuffix(s, "subscribed") })
}
