package config

import "time"

// bindWebFlow is the part of the table about operations that pages wait for.
func bindWebFlow(t *table, w *WebFlow) {
	w.Enabled = true
	t.flag("webflow.enabled", &w.Enabled, "Let pages register, poll and receive results.")
	t.oneOf("webflow.registration", &w.Registration,
		"announced: a page can register only operations that the admin API has announced and that belong to it. open: any operation that no other page has registered. auto: open in development mode, announced otherwise.",
		"auto", "announced", "open")
	t.oneOf("webflow.reply", &w.Reply,
		"Reply to a page that has registered. full contains registrationSucceeded, which Web Flow's front end needs.", "full", "minimal")
	t.oneOf("webflow.policy", &w.Policy,
		"If two sessions register an operation that is open to anyone: first_wins keeps the first, last_wins replaces it.", "first_wins", "last_wins")
	t.duration("webflow.ttl", &w.TTL, 5*time.Minute, time.Second, 24*time.Hour, false,
		"How long an operation waits if the admin API sets no ttl, and how long its result is held.")
	t.duration("webflow.grace", &w.Grace, 30*time.Second, 100*time.Millisecond, 24*time.Hour, true,
		"How long a page that has lost its connection can take to reconnect before its operation counts as abandoned.")
	t.secret("webflow.hmac_key", &w.HMACKey,
		"Key from which webSocketIds are derived, 32 characters or more. Empty: they are SHA-512, like Web Flow's, and anyone who sees the operation's id can compute them.")
	bindResults(t, w)
	t.count("webflow.max_operations", &w.MaxOperations, 1_000_000, 100_000_000, "Number of operations at one time.")
	t.count("webflow.max_operations_per_user", &w.MaxOperationsPerUser, 10_000, 100_000_000,
		"Operations registered without an announcement (registration: open) by one user, or by the anonymous pages of one address.")
	e := &w.Events
	t.url("webflow.events.url", &e.URL,
		"URL of your application. It gets a POST for each page that registers, is lost, is abandoned, gets its result or acknowledges it, and for each operation that expires. An event that is not answered with 2xx is sent again, up to 10 times within 5 minutes. At most 1,000 events wait; beyond that the oldest is dropped.")
	t.secret("webflow.events.secret", &e.Secret, "Key that signs the events, like auth.webhook.secret.")
	t.flag("webflow.events.allow_http", &e.AllowHTTP, "Accept an http URL to an address other than loopback. Anyone on the network path can read the events.")
}
