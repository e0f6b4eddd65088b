package config

import "time"

// bindWebFlow is the part of the table about operations that pages wait for.
func bindWebFlow(t *table, w *WebFlow) {
	w.Enabled = true
	t.flag("webflow.enabled", &w.Enabled, "Let pages register, poll and be told results.")
	t.oneOf("webflow.registration", &w.Registration,
		"announced: a page may wait only for what the admin API has announced, and only if it is its owner's. open: for whatever it names first. auto is open in development mode and announced otherwise.",
		"auto", "announced", "open")
	t.oneOf("webflow.reply", &w.Reply,
		"What a page is told when it has registered: full says registrationSucceeded too, which Web Flow's front end needs.", "full", "minimal")
	t.oneOf("webflow.policy", &w.Policy,
		"Of two strangers who register an operation that is anyone's, the first keeps it or the last takes it over.", "first_wins", "last_wins")
	t.duration("webflow.ttl", &w.TTL, 5*time.Minute, time.Second, 24*time.Hour, false,
		"How long an operation waits unless the admin API says otherwise, and how long its result is held.")
	t.duration("webflow.grace", &w.Grace, 30*time.Second, 100*time.Millisecond, 24*time.Hour, true,
		"How long a page that has lost its connection may take to come back before the log says that its operation is abandoned.")
	t.secret("webflow.hmac_key", &w.HMACKey,
		"Key that webSocketIds are derived with, 32 characters or more. Empty: they are SHA-512, as Web Flow's are, and whoever sees the operation's id can compute them.")
	bindResults(t, w)
	t.count("webflow.max_operations", &w.MaxOperations, 1_000_000, 100_000_000, "Operations that are known at one time.")
	t.count("webflow.max_operations_per_user", &w.MaxOperationsPerUser, 10_000, 100_000_000,
		"Operations that one user, or the anonymous pages of one address together, have taken up without an announcement (registration: open).")
	e := &w.Events
	t.url("webflow.events.url", &e.URL,
		"Your own application, which hears by a POST of each page that registers, is lost, is abandoned, gets its result and acknowledges it, and of each operation that expires. What it does not take with 2xx is sent again, up to 10 times within 5 minutes; 1,000 events wait at most, then the oldest is dropped.")
	t.secret("webflow.events.secret", &e.Secret, "Key that signs the events, as auth.webhook.secret signs questions.")
	t.flag("webflow.events.allow_http", &e.AllowHTTP, "Accept an http URL beyond this machine, though everybody on the way can read the events.")
}
