// Package webhook lets a backend of the operator's decide who may connect, subscribe and send. The broker asks it by
// HTTP, one POST for a question, so that an application in any language is the authority over its own users.
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
// Spring's counterparts are an AuthenticationProvider and an AuthorizationManager<Message<?>> that call a service.
//
// # Questions
//
// A question is a JSON object in the body of a POST. Members that would be empty are left out, and there may be more
// of them in later versions. A client connects:
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
// A client that is in subscribes or sends:
//
//	{
//	  "event": "subscribe",                 or "send"
//	  "user": "alice",                      left out for an anonymous client
//	  "roles": ["editor"], "scopes": ["chat"],
//	  "credential_id": "webhook:key-17",
//	  "action": "subscribe",                the same as event
//	  "destination": "/topic/news/*",
//	  "pattern": true                       if the destination has wildcards
//	}
//
// A user wants a ticket for an operation (see package broker/webflow) that is not that user's own; this is asked only
// if [Options.Events] says so:
//
//	{"event": "wait", "user": "alice", "operation": "40269145-…"}
//
// There are two more events, which look like connect. "handshake" comes before it, with the HTTP request and without
// the members from CONNECT; it is asked only if [Options.Events] says so. "renew" is a new bearer token for a session
// that is connected; its user, roles, scopes and credential_id say for whom.
//
// With [Options.Recheck] the backend is asked every now and then whether a client that it has let in is still welcome.
// The question "recheck" has session, remote, user, roles, scopes and credential_id, and no credential; an allow of true
// or a pass lets the session go on, an allow of false ends it with "session revoked".
//
// A client for whom the handshake has settled who it is, by a ticket for example, is not asked about at CONNECT.
// Tickets are the broker's own, so an attempt with one is not asked about, and a ticket is never in a question.
//
// # Answers
//
// An answer has status 200 and a JSON object of at most 64 KiB. Members that are not named here are ignored, and null
// is as good as not there, except for allow:
//
//	{"allow": true, "user": "alice", "roles": ["editor"], "expires": 1800000000}
//	{"allow": false, "reason": "this account is closed"}
//	{"pass": true}                          or {"allow": null}: others decide
//
// With an allow of true, for handshake, connect and renew:
//
//	user           the name, an [auth.ValidName], behind [Options.UserPrefix]; without it the client is anonymous.
//	               For renew it has to be the session's user
//	roles, scopes  lists of texts; claims, an object of anything
//	expires        when the session ends unless it is renewed, in seconds since 1970; without it, never
//	issued         when the credential was issued, in the same unit
//	credential_id  by which the credential can be revoked, as "webhook:" and this ([CredentialID]); without it, a
//	               bearer token is known as "sha256:" and the first half of its SHA-256 in hexadecimal digits
//
// Roles and scopes that mean something to Hoofbeat itself, which are the role "backend" and scopes that begin with
// "operation:", are left out (see [auth.Foreign]).
//
// For subscribe and send:
//
//	max_age        for how many seconds the answer may be remembered instead of [Options.CacheTTL]: 0 for not at all,
//	               and [MaxAge] at most
//	coverage       for a pattern: "all" if everything that it matches is allowed, "none" if nothing is, and otherwise
//	               "some", the default; then each destination is asked about before a message from it is delivered
//
// The reason, one line of at most 256 bytes without control characters, is what a client is told whose handshake,
// connect or renew is refused; a reason that is none is dropped. Status 401 or 403, whatever the body, is a no as well.
//
// The question about another authenticator's client is passed on with pass. In an [auth.Chain] the next one is asked
// then; for subscribe and send [Options.Fallback] is, and to pass on a pattern is to pass on all that it matches.
//
// # Signatures
//
// With [Options.Secret], each question has the header
//
//	Hoofbeat-Signature: t=1800000000,v1=5257a869…
//
// where t is the time in seconds since 1970, and v1 the HMAC-SHA-256, with the secret as the key, of t, a dot and the
// body as it came, in lower-case hexadecimal digits. Verify it before the body is parsed, compare in constant time,
// and refuse what is older than five minutes. In Node:
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
// In Java, javax.crypto.Mac with HmacSHA256 and java.security.MessageDigest.isEqual do the same. A whole backend for
// Node is testdata/backend.mjs in this directory. To try a backend by hand, in a shell:
//
//	body='{"event":"connect","login":"alice","passcode":"wonderland"}'; t=$(date +%s)
//	v1=$(printf %s "$t.$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/.* //')
//	curl -H "Hoofbeat-Signature: t=$t,v1=$v1" -d "$body" http://localhost:3000/hoofbeat
//
// # When the backend does not answer
//
// No answer is a no. No answer is: nothing within [Options.Timeout], any other status, a redirect, more than 64 KiB,
// and JSON that is not an answer as described, for example with a member twice. The error is [ErrUnavailable]; at the
// handshake it has status 503 and Retry-After. Five of them in a row open the circuit: for a second, and then for
// twice as long each time up to 30 s, nothing is asked and everything refused at once, except what is remembered. Then
// one question is put; if it is answered, the circuit closes. The log tells of both, once.
//
// A client that leaves while its question is under way does not end the question, which is thus no failure.
//
// # What it costs
//
// Answers about subscribe and send are remembered for [Options.CacheTTL], at most [Options.CacheSize] of them; those
// about who a client is never are. Parallel questions that are the same are put once. At most [Options.Concurrency]
// questions of who a client is are under way at once, and as many of what it may do, so that a flood of logins does
// not hold up those who are in. Further ones wait for a turn, for Options.Timeout at most. One network (an IPv4 address,
// or the /64 of an IPv6 address) has at most three quarters of the turns for who a client is, one user at most three
// quarters of those for what it may do, and the turns go round, so that nobody delays another by more than one question.
// A remembered answer takes some 250 ns and no allocation (amd64, 2026-11).
//
// A client's credentials are in the body of a question only: not in its URL and headers, nor in an error or the log.
package webhook
