// Package webhook lets the operator's backend decide who may connect,
// subscribe and send. The broker sends each question as one HTTP POST, so an
// application in any language can control access for its own users.
//
//	hook, err := webhook.New(webhook.Options{
//		URL:    "https://app.example.com/hoofbeat",
//		Secret: os.Getenv("WEBHOOK_SECRET"), // signs each question
//	})
//	if err != nil {
//		return err
//	}
//	b, err := broker.New(broker.Options{Authenticator: hook, Authorizer: hook})
//
// Spring's counterparts are an AuthenticationProvider and an
// AuthorizationManager<Message<?>> that call a service.
//
// # Questions
//
// A question is a JSON object in the body of a POST. Empty members are omitted,
// and later versions may add members. A client connects:
//
//	{
//	  "event": "connect",
//	  "session": "6f1c…",                   the id of the session
//	  "remote": "203.0.113.7:50122",        the client's address
//	  "host": "example.com",                CONNECT's host header
//	  "login": "alice", "passcode": "…",    CONNECT's headers
//	  "bearer": "…",                        the token of CONNECT's "Authorization: Bearer"
//	  "headers": {"cookie": "…"},           of the HTTP request: Options.Headers, names in lower case
//	  "frame": {"tenant": "blue"}           of the CONNECT frame: Options.FrameHeaders
//	}
//
// A connected client subscribes or sends:
//
//	{
//	  "event": "subscribe",                 or "send"
//	  "user": "alice",                      omitted for an anonymous client
//	  "roles": ["editor"], "scopes": ["chat"],
//	  "credential_id": "webhook:key-17",
//	  "action": "subscribe",                the same as event
//	  "destination": "/topic/news/*",
//	  "pattern": true                       if the destination has wildcards
//	}
//
// A user requests a ticket for another user's operation (see package
// broker/webflow). This is asked only if it is in [Options.Events]:
//
//	{"event": "wait", "user": "alice", "operation": "40269145-…"}
//
// There are two more events, which look like connect. "handshake" comes before
// it, with the HTTP request and without the members from CONNECT; it is asked
// only if it is in [Options.Events]. "renew" is a new bearer token for a
// connected session; its user, roles, scopes and credential_id are those of the
// session.
//
// With [Options.Recheck] the broker regularly asks whether an accepted client
// may stay connected. The question "recheck" has session, remote, user, roles,
// scopes and credential_id, and no credential. With an allow of true or a pass
// the session continues; an allow of false ends it with "session revoked".
//
// There is no question at CONNECT if the handshake has identified the client,
// by a ticket for example. The broker decides about tickets itself: there is no
// question for an attempt with a ticket, and no question contains a ticket.
//
// # Answers
//
// An answer has status 200 and a JSON object of at most 64 KiB. Other members
// than the following are ignored. Except for allow, null means the same as a
// missing member:
//
//	{"allow": true, "user": "alice", "roles": ["editor"], "expires": 1800000000}
//	{"allow": false, "reason": "this account is closed"}
//	{"pass": true}                          or {"allow": null}: others decide
//
// With an allow of true, for handshake, connect and renew:
//
//	user           the name, an [auth.ValidName], put after [Options.UserPrefix]; without it the client is anonymous.
//	               For renew it must be the session's user
//	roles, scopes  lists of texts; claims, an object with any members
//	expires        when the session ends unless it is renewed, in seconds since 1970; without it, never
//	issued         when the credential was issued, in the same unit
//	credential_id  an id by which the credential can be revoked, as "webhook:" and this ([CredentialID]); without it, a
//	               bearer token has the id "sha256:" and the first half of its SHA-256 in hexadecimal digits
//
// Roles and scopes with a meaning to Hoofbeat itself, the role "backend" and
// scopes that begin with "operation:", are removed (see [auth.Foreign]).
//
// For subscribe and send:
//
//	max_age        how many seconds to cache the answer, instead of [Options.CacheTTL]: 0 for not at all, and [MaxAge] at
//	               most
//	coverage       for a pattern: "all" if every destination that it matches is allowed, "none" if none is, and otherwise
//	               "some", the default; then each destination is asked about before a message from it is delivered
//
// The reason is sent to a client whose handshake, connect or renew is rejected.
// It is one line of at most 256 bytes without control characters; other reasons
// are dropped. Status 401 or 403, whatever the body, also denies or rejects.
//
// Use pass for the clients of another authenticator. In an [auth.Chain] the
// next authenticator is then asked; for subscribe and send, [Options.Fallback]
// decides. Passing a pattern passes all destinations that it matches.
//
// # Signatures
//
// With [Options.Secret], each question has the header
//
//	Hoofbeat-Signature: t=1800000000,v1=5257a869…
//
// where t is the time in seconds since 1970, and v1 the HMAC-SHA-256, with the
// secret as the key, of t, a dot and the unmodified body, in lower-case
// hexadecimal digits. Verify it before you parse the body, compare in constant
// time, and reject questions older than five minutes. In Node:
//
//	const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(request.headers['hoofbeat-signature'] ?? '') ?? []
//	if (!t || Math.abs(Date.now() / 1000 - t) > 300) return false
//	const wanted = crypto.createHmac('sha256', secret).update(`${t}.`).update(body).digest()
//	return crypto.timingSafeEqual(wanted, Buffer.from(v1, 'hex'))
//
// In PHP:
//
//	if (!preg_match('/^t=(\d+),v1=([0-9a-f]{64})$/D', $_SERVER['HTTP_HOOFBEAT_SIGNATURE'] ?? '', $m)) return false;
//	return abs(time() - $m[1]) <= 300 && hash_equals(hash_hmac('sha256', "$m[1].$body", $secret), $m[2]);
//
// In Java, use javax.crypto.Mac with HmacSHA256 and
// java.security.MessageDigest.isEqual. A complete backend for Node is
// testdata/backend.mjs in this directory. To test a backend from a shell:
//
//	body='{"event":"connect","login":"alice","passcode":"wonderland"}'; t=$(date +%s)
//	v1=$(printf %s "$t.$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/.* //')
//	curl -H "Hoofbeat-Signature: t=$t,v1=$v1" -d "$body" http://localhost:3000/hoofbeat
//
// # When the backend does not answer
//
// Without an answer, access is denied. These count as no answer: nothing within
// [Options.Timeout], any other status, a redirect, more than 64 KiB, and JSON
// that is not an answer as described, for example with a duplicate member. The
// error is [ErrUnavailable]; at the handshake it has status 503 and
// Retry-After.
//
// Five failures in a row open the circuit: for a second, and then for twice as
// long each time up to 30 s, the broker asks nothing and denies everything at
// once, except what cached answers allow. Then it sends one question; if that
// is answered, the circuit closes. Both changes are logged once.
//
// A client that disconnects while its question is running does not cancel the
// question, so this is not a failure.
//
// # Caching and limits
//
// Answers about subscribe and send are cached for [Options.CacheTTL], at most
// [Options.CacheSize] of them; answers that identify clients are not cached.
// Identical concurrent questions are sent once. At most [Options.Concurrency]
// questions that identify clients run at once, and as many permission
// questions, so a flood of logins does not delay connected clients. Further
// questions wait for a turn, at most Options.Timeout. One network (an IPv4
// address, or the /64 of an IPv6 address) gets at most three quarters of the
// turns that identify clients, and one user at most three quarters of those for
// permissions. Networks and users take turns, so none delays another by more
// than one question. A cached answer takes some 250 ns and no allocation
// (amd64, 2026-11).
//
// A client's credentials are only in the body of a question, never in its URL
// and headers, in an error or in the log.
package webhook
