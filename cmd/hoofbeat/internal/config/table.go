package config

import (
	"log/slog"
	"time"
)

// bind is the table: it ties every key to its field of c and gives the field
// its default.
func bind(c *Config) []Key {
	t := new(table)
	c.Listen = "127.0.0.1:8080"
	t.add("listen", address{p: &c.Listen, unix: true},
		"Public listener: WebSocket, /livez and /readyz. Beyond this machine it starts only with an authenticator, or with auth.anonymous written out. unix:/path is a socket for a reverse proxy, which the owner and the group of this process may open (0660); it counts as beyond this machine. Add unix to auth.trusted_proxies.")
	t.addr("admin", &c.Admin, "127.0.0.1:8081",
		"Admin listener: the JSON API, which always wants the bearer token. Beyond this machine it starts only with a token that is given, never with one that is made.")
	t.addr("tcp", &c.TCP, "",
		"Plain STOMP over TCP, for backends and for Spring's broker relay. 61613 is the usual port.")
	t.add("admin_token", word{p: &c.AdminToken, kind: "secret", want: "16 characters or more", check: token},
		"Bearer token of the admin API. Without it and without admin_token_file one is made at the start and written to a file of mode 0600.").envOnly = true
	t.file("admin_token_file", &c.AdminTokenFile,
		"File whose first line is the bearer token of the admin API, readable by nobody else. It is made if it is missing.")
	t.flag("admin_pprof", &c.AdminPprof,
		"Profiles of the Go runtime below /debug/pprof of the admin listener, with the bearer token.")

	t.text("node", &c.Node, "a text such as broker-1", "Name of this broker among others. Empty: a new random one at each start.")
	t.add("nodes", recordsOf(&c.Nodes, bindNode,
		"{id: broker-1, url: \"wss://one.example.com/ws\"}"), "Brokers that a page is told of when it asks at /app/bootstrap where it can connect.")

	c.SockJS = true
	t.flag("sockjs", &c.SockJS,
		"Serve SockJS at websocket.path too, for clients that cannot open a WebSocket: new SockJS(\"http://127.0.0.1:8080/ws\"). With false nothing is found below that path.")
	c.SockJSCookie = "hoofbeat-sockjs"
	t.add("sockjs_cookie", word{p: &c.SockJSCookie, kind: "text", want: "letters, digits, - and _, or empty", check: optional(cookieName)},
		"Cookie that ties together the requests of a SockJS session without a WebSocket, and that a load balancer can go by; in front of Spring it goes by JSESSIONID. It is set with a random value and is no login. A session that was opened with a ticket, a bearer token or the cookie of auth.oauth is tied to that instead, and one of a client without cookies to its address, which behind a proxy that is missing from auth.trusted_proxies is the proxy's: give pages of other sites, whose cookies browsers hold back, a ticket. Empty: no cookie.")
	t.flag("selectors", &c.Selectors,
		"Take the selector header of a SUBSCRIBE, such as headers.region == 'eu', as Spring's simple broker does: the subscription gets only the messages that it selects. With false a SUBSCRIBE with that header is refused.")
	t.add("compatibility", word{p: &c.Compatibility, kind: "text", want: "spring, or empty", check: compatible},
		"Be like another broker in whatever is not written out here, in the environment or on the command line. spring: "+imitations()+". Destinations may have any prefix, unless destinations.topic says which. Everything else that Spring's clients expect is there anyway. Who may do what is not touched: Spring lets everybody send to /topic/**; here that takes a rule, but in development mode.")

	t.file("tls.cert", &c.TLS.Cert, "PEM file with the certificate and its chain. Switches TLS on for listen and tcp.")
	t.file("tls.key", &c.TLS.Key, "PEM file with the private key of the certificate.")
	t.file("tls.client_ca", &c.TLS.ClientCA, "PEM file with the authorities that client certificates are checked against. With it every client must have one.")

	c.WebSocket.Path = "/ws"
	t.add("websocket.path", word{p: &c.WebSocket.Path, kind: "path", want: "a path such as /ws", check: urlPath},
		"Path of the WebSocket endpoint.")
	t.add("websocket.origins", list{&c.WebSocket.Origins, "origins such as https://app.example.com, https://*.example.com or http://localhost:*, or *", origin},
		"Web origins whose pages may connect, beside pages of the host that is asked. The port may be *. file://, \"null\" in quotes, and the schemes of apps, such as capacitor://localhost, are origins too. * must be written out to allow all. Empty: only pages of the host that is asked; in development mode, all pages of this machine (localhost, with any port).")
	t.flag("websocket.compression", &c.WebSocket.Compression,
		"Compress messages for clients that offer permessage-deflate. It costs CPU and saves bandwidth; leave it off where one message can hold both a secret and text that somebody else chose, since its length then tells about the secret.")

	t.duration("heartbeat.send", &c.HeartBeat.Send, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"How often the broker offers to send a heart-beat.")
	t.duration("heartbeat.expect", &c.HeartBeat.Expect, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"How often it wants to hear from a client. A client that is silent for three intervals is disconnected.")
	t.duration("heartbeat.patience", &c.HeartBeat.Patience, 10*time.Minute, time.Second, 7*24*time.Hour, true,
		"How long a client that negotiated heart-beats may send no byte of STOMP and only answer pings, which its system does even if the page hangs. A page in the background stays: its timers run once a minute. Never less than three intervals of that client.")
	t.duration("heartbeat.ping", &c.HeartBeat.Ping, 25*time.Second, 10*time.Millisecond, time.Hour, true,
		"WebSocket ping to a silent client that negotiated no heart-beat, so that proxies keep the connection and dead clients are found. Over SockJS it is SockJS's own heart-beat, at most twice heartbeat.expect.")

	t.size("limits.frame", &c.Limits.Frame, 64*kib, kib, gib, "Largest STOMP frame, headers and body.")
	t.size("limits.unauthenticated_frame", &c.Limits.UnauthenticatedFrame, 8*kib, 512, gib, "The same before CONNECTED.")
	t.count("limits.headers", &c.Limits.Headers, 100, 10_000, "Headers of one frame.")
	t.size("limits.header_bytes", &c.Limits.HeaderBytes, 8*kib, 512, 16*mib, "All headers of one frame together.")
	t.count("limits.subscriptions", &c.Limits.Subscriptions, 1000, 1_000_000, "Subscriptions of one session.")
	t.size("limits.subscription_bytes", &c.Limits.SubscriptionBytes, 2*mib, kib, gib, "Memory that they take: ids, patterns, selectors.")
	t.count("limits.slow_patterns", &c.Limits.SlowPatterns, 2500, 10_000_000,
		"Different patterns of all sessions that every message to a new destination is compared with one by one: those with a segment like a?, a*b or *a*, with two segments like a* or *a, or with more than three wildcard segments.")
	t.count("limits.slow_patterns_per_user", &c.Limits.SlowPatternsPerUser, 250, 10_000_000,
		"The same of one user, or of the anonymous sessions of one address.")
	t.count("limits.selectors_per_user", &c.Limits.SelectorsPerUser, 100, 10_000_000,
		"Different selectors of one user, or of the anonymous sessions of one address, each of which judges every message to its topic.")
	t.count("limits.transactions", &c.Limits.Transactions, 16, 10_000, "Open transactions of one session.")
	t.count("limits.transaction_frames", &c.Limits.TransactionFrames, 1000, 1_000_000, "Frames in one transaction.")
	t.size("limits.transaction_bytes", &c.Limits.TransactionBytes, mib, kib, gib, "All open transactions of one session together.")
	t.count("limits.in_flight", &c.Limits.InFlight, 1000, 1_000_000,
		"Frames of one session that wait for a store, or for the receipts of those before them. Then nothing more is read from it until half are done. Queues in memory never wait.")
	t.size("limits.in_flight_bytes", &c.Limits.InFlightBytes, mib, kib, gib, "Memory that they take.")
	t.count("limits.unacknowledged", &c.Limits.Unacknowledged, 1000, 1_000_000, "Messages delivered to one session and not yet acknowledged.")
	t.size("limits.outbox", &c.Limits.Outbox, 512*kib, 4*kib, gib,
		"Bytes waiting to be written to one session. A client that reads too slowly for it is disconnected.")
	t.duration("limits.connect_deadline", &c.Limits.ConnectDeadline, 5*time.Second, 100*time.Millisecond, 10*time.Minute, true,
		"Time from the connection to CONNECTED.")
	t.duration("limits.write_deadline", &c.Limits.WriteDeadline, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"How long a client may take nothing of what is being written to it.")
	t.count("limits.unauthenticated", &c.Limits.Unauthenticated, 1024, 10_000_000, "Connections before CONNECTED, all together.")
	t.count("limits.unauthenticated_per_address", &c.Limits.UnauthenticatedPerAddress, 64, 10_000_000, "Connections before CONNECTED from one address.")
	t.count("limits.connections", &c.Limits.Connections, 65_536, 10_000_000,
		"HTTP connections of the public listener that are not WebSockets, all together: idle ones, requests, and SockJS. Over it the one that was idle longest is closed. The defaults of this and the next, of unauthenticated, sessions and what one address may have of them are lower where the process may open few files (`ulimit -n`).")
	t.count("limits.connections_per_address", &c.Limits.ConnectionsPerAddress, 1024, 10_000_000,
		"The same from one address that is not among auth.trusted_proxies. Over it the one of that address that was idle longest is closed.")
	t.count("limits.sessions", &c.Limits.Sessions, 100_000, 100_000_000, "Sessions that are CONNECTED, all together. A further one is refused with 503, or with an ERROR and 4429 where it is known only at CONNECT.")
	t.count("limits.sessions_per_user", &c.Limits.SessionsPerUser, 1000, 100_000_000, "Sessions that are CONNECTED of one user. Clients without a name are not counted here.")
	t.count("limits.sessions_per_address", &c.Limits.SessionsPerAddress, 10_000, 100_000_000,
		"Sessions that are CONNECTED from one address. All clients of a proxy that is missing from auth.trusted_proxies have one address.")
	t.count("limits.login_failures", &c.Limits.LoginFailures, 5, 1_000_000,
		"Wrong passcodes of one login from one address that are free. Beyond it one passcode at a time is compared, after a wait that begins with 1s and doubles with every failure.")
	t.count("limits.address_failures", &c.Limits.AddressFailures, 50, 1_000_000,
		"Wrong passcodes from one address that are free, whatever the login. Beyond it the passcodes from there are compared one after another, 50ms apart; none is refused for it. Wrong tickets and tokens are counted apart; beyond this number they are answered with 429.")
	t.duration("limits.failure_wait", &c.Limits.FailureWait, time.Minute, time.Second, 24*time.Hour, false,
		"Longest wait of a login after wrong passcodes.")
	t.duration("limits.failure_decay", &c.Limits.FailureDecay, 2*time.Minute, time.Second, 24*time.Hour, true,
		"Time without a failure after which counts of failures are halved. off: never.")
	t.count("limits.sockjs_sessions", &c.Limits.SockJSSessions, 10_000, 10_000_000,
		"Sessions over SockJS without a WebSocket, all together, of which one address has at most half. A further one is refused with 503.")

	c.Limits.FetchedAnswer = 256 * kib
	t.add("limits.fetched_answer", number[int]{&c.Limits.FetchedAnswer, kib, 16 * mib, false, sizeUnit()},
		"Largest answer of a resource of auth.oauth[].fetch.")
	c.Limits.FetchedAnswers = 64 * mib
	t.add("limits.fetched_answers", number[int64]{&c.Limits.FetchedAnswers, kib, tib, false, sizeUnit()},
		"Bytes of all these answers together, for all users. A further one is published and not kept.")
	t.oneOf("limits.nul", &c.Limits.NUL,
		"What happens to a message with a NUL byte in its body. stompjs 2.3.3 and other browser libraries of its time take the rest of such a body for further frames, so a sender could forge messages in their pages. replace: clients of STOMP 1.0 and 1.1 over WebSocket and SockJS get U+FFFD, the replacement character, for NULs, and all others the body as it was sent. refuse: nobody can send a NUL; this also protects pages with webstomp-client, which speaks 1.2. pass: everybody gets the body as it was sent.",
		"replace", "refuse", "pass")

	t.oneOf("queues.mode", &c.Queues.Mode,
		"What /queue/** is. work: each message goes to one of the competing consumers and is kept while there is none. broadcast: as /topic, like Spring's simple broker.",
		"work", "broadcast")
	t.count("queues.messages", &c.Queues.Messages, 10_000, 1_000_000_000, "Messages in one queue. A full queue refuses, it never drops.")
	t.bigSize("queues.bytes", &c.Queues.Bytes, 64*mib, kib, tib, "Bytes of the messages in one queue.")
	t.count("queues.attempts", &c.Queues.Attempts, 5, 1000, "Deliveries of a message before it goes to /queue/DLQ.<name>.")
	t.count("queues.queues", &c.Queues.Queues, 1000, 10_000_000, "Queues that exist at one time.")
	t.bigSize("queues.total_bytes", &c.Queues.TotalBytes, gib, kib, tib, "Bytes of the messages in all queues together.")
	t.count("queues.queues_per_user", &c.Queues.QueuesPerUser, 250, 10_000_000,
		"Queues that exist because one user, or the anonymous clients of one address together, sent or subscribed there first. Messages of the admin API and sessions with the role backend do not count.")
	t.bigSize("queues.bytes_per_user", &c.Queues.BytesPerUser, 256*mib, kib, tib,
		"Bytes of the messages in all queues that one user, or the anonymous clients of one address together, have sent.")
	t.count("queues.prefetch", &c.Queues.Prefetch, 100, 1_000_000,
		"Unacknowledged messages of a subscription that does not say prefetch-count.")
	t.add("queues.transient", list{&c.Queues.Transient, "patterns that begin with /queue/", queuePattern},
		"Queues that are never kept: a message goes to all who are subscribed at that moment and to nobody later, as on a topic, and no limit of queues concerns it. Behind Spring's broker relay say `/queue/*-user*`: Spring makes such a queue of a /user destination for each session, and what it sends to a session that has just gone would otherwise be kept for ever. Dead letters, in /queue/DLQ.<name>, are kept in any case.")

	bindDestinations(t, &c.Destinations)
	bindAuth(t, &c.Auth)
	bindWebFlow(t, &c.WebFlow)

	c.Log.Level = slog.LevelInfo
	t.add("log.level", level{&c.Log.Level}, "Least level that is logged.")
	t.oneOf("log.sessions", &c.Log.Sessions,
		"Level of the records \"session started\" and \"session ended\". debug or off suits a site with very many sessions. A session that is ended because it was denied, exceeded a limit or read too slowly is logged as a warning in any case.",
		"info", "debug", "off")
	t.oneOf("log.format", &c.Log.Format, "auto is text on a terminal and json elsewhere.", "auto", "text", "json")

	t.duration("drain.timeout", &c.Drain.Timeout, 30*time.Second, 0, time.Hour, false,
		"How long a shutdown may take, after drain.delay, until the sessions that are left are cut off; 0s cuts them off at once.")
	t.duration("drain.delay", &c.Drain.Delay, 0, 0, time.Hour, false,
		"How long /readyz says no after SIGTERM while everything else goes on, new sessions included. Set it to the time that your load balancer needs to notice, such as 10s.")
	t.duration("drain.spread", &c.Drain.Spread, 20*time.Second, 0, time.Hour, false,
		"Time over which the sessions are then closed, with code 1012, so that their clients do not all reconnect at once. A hundred sessions or fewer are closed at once. It takes at most four fifths of drain.timeout.")
	for i := range t.keys {
		t.keys[i].Live = live(t.keys[i].Path)
	}
	return t.keys
}

// sections are the documentation of the groups of keys.
func sections() map[string]string {
	return map[string]string{
		"tls":            "Encryption of the public and TCP listeners. The admin listener stays plain: keep it on loopback.",
		"websocket":      "The WebSocket endpoint.",
		"heartbeat":      "Signs of life, as STOMP negotiates them.",
		"limits":         "What one session, or all strangers together, may cost.",
		"queues":         "The /queue/** destinations. Messages live in memory and are gone when the broker is.",
		"destinations":   "How destinations begin. Rules are written with these prefixes; the broker's own destinations, such as /app/bootstrap and /user/topic/session, are found below them.",
		"auth":           "Who may connect. Without any of it, on loopback, the broker is in development mode: everybody may connect, and a login is taken at its word.",
		"auth.users":     "Users with a password.",
		"auth.tickets":   "Single-use tickets, for pages that cannot send a header with their WebSocket.",
		"auth.sessions":  "The login sessions of auth.oauth.",
		"auth.webhook":   "A backend of yours that decides.",
		"webflow":        "Pages that wait for something a person does elsewhere, such as a login that is approved on a phone. They register at /app/registration, or poll GET /operations/{webSocketId}/result; the result comes from the admin API or from `hoofbeat notify`.",
		"webflow.events": "What becomes of the pages that wait, told to your application.",
		"log":            "The log, on standard error.",
		"drain":          "Shutdown by SIGTERM or SIGINT. A second signal ends it at once.",
	}
}
