package config

import "time"

// WebFlow is the section webflow. [WebFlow.InterimResults] returns what
// Interim means.
type WebFlow struct {
	// Let pages register, poll and receive results.
	Enabled bool `key:"webflow.enabled" default:"true" needs:"-"`
	// announced: a page can register only operations that the admin API has
	// announced and that belong to it. open: any operation that no other page
	// has registered. auto: open in development mode, announced otherwise.
	Registration string `key:"webflow.registration" oneof:"auto announced open" default:"auto"`
	// Reply to a page that has registered. full contains
	// registrationSucceeded, which Web Flow's front end needs.
	Reply string `key:"webflow.reply" oneof:"full minimal" default:"full"`
	// If two sessions register an operation that is open to anyone: first_wins
	// keeps the first, last_wins replaces it.
	Policy string `key:"webflow.policy" oneof:"first_wins last_wins" default:"first_wins"`
	// How long an operation waits if the admin API sets no ttl, and how long
	// its result is held.
	TTL time.Duration `key:"webflow.ttl" default:"5m" range:"1s to 24h"`
	// How long a page that has lost its connection can take to reconnect
	// before its operation counts as abandoned.
	Grace time.Duration `key:"webflow.grace" default:"30s" range:"100ms to 24h, or off"`
	// Key from which webSocketIds are derived, 32 characters or more. Empty:
	// they are SHA-512, like Web Flow's, and anyone who sees the operation's
	// id can compute them.
	HMACKey Secret `key:"webflow.hmac_key"`
	// Results that an application can report. Others are refused, so that a
	// typing error does not reach a page. A result that is not in
	// webflow.interim is final. The default is the list that Web Flow's front
	// end knows.
	Results []string `key:"webflow.results" is:"results" default:"CONFIRMED,CANCELED,AUTH_FAILED,AUTH_METHOD_FAILED,AUTH_METHOD_CHOSEN,AUTH_METHOD_DOWNGRADE,CONTINUE,FAILED,DONE"`
	// Results after which the page keeps waiting. Must be in webflow.results.
	// If not set: those of the default that are in webflow.results.
	Interim []string `key:"webflow.interim" is:"results" default:"AUTH_FAILED,AUTH_METHOD_CHOSEN,AUTH_METHOD_DOWNGRADE,CONTINUE"`
	// Result that a page gets when its operation ends without one. Empty:
	// none.
	ExpiredResult string `key:"webflow.expired_result" want:"one of webflow.results that is not in webflow.interim, or empty"`
	// Number of operations at one time.
	MaxOperations int `key:"webflow.max_operations" default:"1000000" range:"1 to 100000000, or off"`
	// Operations registered without an announcement (registration: open) by
	// one user, or by the anonymous pages of one address.
	MaxOperationsPerUser int `key:"webflow.max_operations_per_user" default:"10000" range:"1 to 100000000, or off" needs:"open-registration"`
	// Events about waiting pages, sent to your application.
	Events WebFlowEvents `key:"webflow.events" needs:"webflow.events.url"`
}

// WebFlowEvents is the section webflow.events.
type WebFlowEvents struct {
	// URL of your application. It gets a POST for each page that registers, is
	// lost, is abandoned, gets its result or acknowledges it, and for each
	// operation that expires. An event that is not answered with 2xx is sent
	// again, up to 10 times within 5 minutes. At most 1,000 events wait;
	// beyond that the oldest is dropped.
	URL string `key:"webflow.events.url" is:"url" needs:"-"`
	// Key that signs the events, like auth.webhook.secret.
	Secret Secret `key:"webflow.events.secret"`
	// Accept an http URL to an address other than loopback. Anyone on the
	// network path can read the events.
	AllowHTTP bool `key:"webflow.events.allow_http"`
}
