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
		"Public listener: WebSocket, /livez and /readyz. Addresses other than loopback require authentication, or auth.anonymous: true. unix:/path is a socket for a reverse proxy; the owner and the group of this process can open it (mode 0660), and it also requires authentication. Add unix to auth.trusted_proxies.")
	t.addr("admin", &c.Admin, "127.0.0.1:8081",
		"Admin listener: the JSON API. Every request needs the bearer token. Addresses other than loopback require a token that you set; a generated one is not enough.")
	t.addr("tcp", &c.TCP, "",
		"Plain STOMP over TCP, for backends and for Spring's broker relay. 61613 is the usual port.")
	t.add("admin_token", word{p: &c.AdminToken, kind: "secret", want: "16 characters or more", check: token},
		"Bearer token of the admin API. Without it and without admin_token_file, a token is generated at start-up and written to a file of mode 0600.").envOnly = true
	t.file("admin_token_file", &c.AdminTokenFile,
		"File whose first line is the bearer token of the admin API; only its owner can read it. Created if the file does not exist.")
	t.flag("admin_pprof", &c.AdminPprof,
		"Serve profiles of the Go runtime below /debug/pprof of the admin listener; they need the bearer token.")

	t.text("node", &c.Node, "a text such as broker-1", "Name of this broker among several. Empty: a new random name at each start.")
	t.add("nodes", recordsOf(&c.Nodes, bindNode,
		"{id: broker-1, url: \"wss://one.example.com/ws\"}"), "Brokers listed in the reply to a page that asks at /app/bootstrap where it can connect.")

	c.SockJS = true
	t.flag("sockjs", &c.SockJS,
		"Serve SockJS below websocket.path, for clients that cannot open a WebSocket: new SockJS(\"http://127.0.0.1:8080/ws\"). Set it to false to serve only the WebSocket.")
	c.SockJSCookie = "hoofbeat-sockjs"
	t.add("sockjs_cookie", word{p: &c.SockJSCookie, kind: "text", want: "letters, digits, - and _, or empty", check: optional(cookieName)},
		"Cookie that ties together the requests of a SockJS session without a WebSocket; a load balancer can route by it (with Spring it uses JSESSIONID). Its value is random and is not a credential. A session that was opened with a ticket, a bearer token or the cookie of auth.oauth is tied to that credential instead. A session of a client without cookies is tied to the client's address, which is the proxy's address if the proxy is not listed in auth.trusted_proxies. Browsers withhold the cookie from pages of other sites: give those pages a ticket. Empty: no cookie.")
	t.flag("selectors", &c.Selectors,
		"Accept the selector header of a SUBSCRIBE, such as headers.region == 'eu', like Spring's simple broker: the subscription gets only the messages that match. If false, a SUBSCRIBE with that header is refused.")
	t.add("compatibility", word{p: &c.Compatibility, kind: "text", want: "spring, or empty", check: compatible},
		"Use the defaults of another broker for keys that are not set in this file, in the environment or on the command line. spring: "+imitations()+". Destinations can have any prefix, unless destinations.topic is set. Everything else that Spring's clients expect works without it. It changes no permissions: Spring allows every client to send to /topic/**; Hoofbeat needs a rule for that, except in development mode.")

	t.file("tls.cert", &c.TLS.Cert, "PEM file with the certificate and its chain. Enables TLS for listen and tcp.")
	t.file("tls.key", &c.TLS.Key, "PEM file with the private key of the certificate.")
	t.file("tls.client_ca", &c.TLS.ClientCA, "PEM file with the authorities that must have signed client certificates. If set, every client needs a certificate.")

	c.WebSocket.Path = "/ws"
	t.add("websocket.path", word{p: &c.WebSocket.Path, kind: "path", want: "a path such as /ws", check: urlPath},
		"Path of the WebSocket endpoint.")
	t.add("websocket.origins", list{&c.WebSocket.Origins, "origins such as https://app.example.com, https://*.example.com or http://localhost:*, or *", origin},
		"Web origins whose pages can connect, in addition to pages of the requested host. The port can be *. file://, \"null\" in quotes, and the schemes of apps, such as capacitor://localhost, are also origins. * allows every origin. Empty: only pages of the requested host; in development mode, all pages of this machine (localhost, with any port).")
	t.add("websocket.hosts", list{&c.WebSocket.Hosts, "hosts such as broker.example.com, broker.example.com:8443 or *.example.com, or *", host},
		"Hosts under which clients reach the broker. If set, the Host header of every HTTP request, except /livez and /readyz, must be one of them, the host of one of websocket.origins, localhost or an IP address; others get 403. Set it if auth.anonymous is true and the broker is in a private network: without it, a page of any site can connect from a browser there (DNS rebinding). A host without a port has any port. * is every host. Empty: every host; in development mode, only this machine.")
	t.flag("websocket.compression", &c.WebSocket.Compression,
		"Compress messages for clients that offer permessage-deflate. This costs CPU and saves bandwidth. Leave it off if one message can contain both a secret and text chosen by an attacker, because its length then reveals information about the secret.")

	t.duration("heartbeat.send", &c.HeartBeat.Send, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"How often the broker offers to send a heart-beat.")
	t.duration("heartbeat.expect", &c.HeartBeat.Expect, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"How often the broker expects a heart-beat from a client. A client that is silent for three intervals is disconnected.")
	t.duration("heartbeat.patience", &c.HeartBeat.Patience, 10*time.Minute, time.Second, 7*24*time.Hour, true,
		"Disconnect a client that negotiated heart-beats, sends no byte of STOMP for this long and only answers pings, which its system does even if the page hangs. A page in the background stays connected: its timers run once a minute. Never less than three heart-beat intervals of that client.")
	t.duration("heartbeat.ping", &c.HeartBeat.Ping, 25*time.Second, 10*time.Millisecond, time.Hour, true,
		"Send a WebSocket ping this often to a silent client that negotiated no heart-beats, so that proxies keep the connection open and dead clients are found. Over SockJS it is the interval of SockJS's own heart-beat, at most twice heartbeat.expect.")

	t.size("limits.frame", &c.Limits.Frame, 64*kib, kib, gib, "Largest STOMP frame, headers and body.")
	t.size("limits.unauthenticated_frame", &c.Limits.UnauthenticatedFrame, 8*kib, 512, gib, "Largest STOMP frame before CONNECTED.")
	t.count("limits.headers", &c.Limits.Headers, 100, 10_000, "Headers of one frame.")
	t.size("limits.header_bytes", &c.Limits.HeaderBytes, 8*kib, 512, 16*mib, "Bytes of all headers of one frame.")
	t.count("limits.subscriptions", &c.Limits.Subscriptions, 1000, 1_000_000, "Subscriptions of one session.")
	t.size("limits.subscription_bytes", &c.Limits.SubscriptionBytes, 2*mib, kib, gib, "Memory of the subscriptions of one session: ids, patterns, selectors.")
	t.count("limits.slow_patterns", &c.Limits.SlowPatterns, 2500, 10_000_000,
		"Distinct slow patterns of all sessions: the broker compares every message to a new destination with each of them. Slow are patterns with a segment like a?, a*b or *a*, with two segments like a* or *a, or with more than three wildcard segments.")
	t.count("limits.slow_patterns_per_user", &c.Limits.SlowPatternsPerUser, 250, 10_000_000,
		"Distinct slow patterns of one user, or of the anonymous sessions of one address.")
	t.count("limits.selectors_per_user", &c.Limits.SelectorsPerUser, 100, 10_000_000,
		"Distinct selectors of one user, or of the anonymous sessions of one address. Each one judges every message to its topic.")
	t.count("limits.transactions", &c.Limits.Transactions, 16, 10_000, "Open transactions of one session.")
	t.count("limits.transaction_frames", &c.Limits.TransactionFrames, 1000, 1_000_000, "Frames in one transaction.")
	t.size("limits.transaction_bytes", &c.Limits.TransactionBytes, mib, kib, gib, "Bytes of all open transactions of one session.")
	t.count("limits.in_flight", &c.Limits.InFlight, 1000, 1_000_000,
		"Frames of one session that wait for a store, or for the receipts of earlier frames. At the limit the broker stops reading from the session until half of them are done. Queues in memory never wait.")
	t.size("limits.in_flight_bytes", &c.Limits.InFlightBytes, mib, kib, gib, "Memory of these frames.")
	t.count("limits.unacknowledged", &c.Limits.Unacknowledged, 1000, 1_000_000, "Messages delivered to one session and not yet acknowledged.")
	t.count("limits.dedup_ids", &c.Limits.DedupIDs, 500_000, 100_000_000,
		"Ids of accepted messages that the broker remembers for two minutes, so that a message sent again with the same message-dedup-id is accepted once. Each takes 160 bytes. At the limit a message with this header is refused.")
	t.count("limits.dedup_ids_per_user", &c.Limits.DedupIDsPerUser, 125_000, 100_000_000,
		"The same, of one user. Sessions with the role backend do not count.")
	t.size("limits.outbox", &c.Limits.Outbox, 512*kib, 4*kib, gib,
		"Bytes waiting to be written to one session. A client that reads too slowly and exceeds it is disconnected.")
	t.duration("limits.connect_deadline", &c.Limits.ConnectDeadline, 5*time.Second, 100*time.Millisecond, 10*time.Minute, true,
		"Time from the connection to CONNECTED.")
	t.duration("limits.write_deadline", &c.Limits.WriteDeadline, 10*time.Second, 10*time.Millisecond, time.Hour, true,
		"Disconnect a client that accepts no data for this long.")
	t.count("limits.unauthenticated", &c.Limits.Unauthenticated, 1024, 10_000_000, "Connections before CONNECTED, in total.")
	t.count("limits.unauthenticated_per_address", &c.Limits.UnauthenticatedPerAddress, 64, 10_000_000, "Connections before CONNECTED from one address.")
	t.count("limits.connections", &c.Limits.Connections, 65_536, 10_000_000,
		"HTTP connections of the public listener that are not WebSockets, in total: idle ones, requests, and SockJS. At the limit the one that has been idle longest is closed. The defaults of this key, of connections_per_address, and of the unauthenticated and sessions keys are lower if the process can open few files (`ulimit -n`).")
	t.count("limits.connections_per_address", &c.Limits.ConnectionsPerAddress, 1024, 10_000_000,
		"HTTP connections that are not WebSockets from one address that is not in auth.trusted_proxies. At the limit the connection of that address that has been idle longest is closed.")
	t.count("limits.sessions", &c.Limits.Sessions, 100_000, 100_000_000, "CONNECTED sessions, in total. At the limit a new session is refused with 503, or with an ERROR and 4429 if the limit is reached only at CONNECT.")
	t.count("limits.sessions_per_user", &c.Limits.SessionsPerUser, 1000, 100_000_000, "CONNECTED sessions of one user. Clients without a name are not counted here.")
	t.count("limits.sessions_per_address", &c.Limits.SessionsPerAddress, 10_000, 100_000_000,
		"CONNECTED sessions from one address. All clients behind a proxy that is not listed in auth.trusted_proxies share one address.")
	t.count("limits.login_failures", &c.Limits.LoginFailures, 5, 1_000_000,
		"Wrong passcodes for one login from one address before attempts are slowed down. Beyond this the broker compares one passcode at a time, after a wait that starts at 1s and doubles with every failure.")
	t.count("limits.address_failures", &c.Limits.AddressFailures, 50, 1_000_000,
		"Wrong passcodes from one address, for any login, before attempts are slowed down. Beyond this the broker compares passcodes from that address one after another, 50ms apart, and still compares every one. Invalid tickets and tokens are counted separately; beyond this number they are answered with 429, and auth.introspection and auth.userinfo are asked about tokens from there only every 50ms.")
	t.duration("limits.failure_wait", &c.Limits.FailureWait, time.Minute, time.Second, 24*time.Hour, false,
		"Longest wait of a login after wrong passcodes.")
	t.duration("limits.failure_decay", &c.Limits.FailureDecay, 2*time.Minute, time.Second, 24*time.Hour, true,
		"Time without a failure after which failure counts are halved. off: never.")
	t.count("limits.sockjs_sessions", &c.Limits.SockJSSessions, 10_000, 10_000_000,
		"SockJS sessions without a WebSocket, in total; one address can have at most half of them. At the limit a new one is refused with 503.")

	c.Limits.FetchedAnswer = 256 * kib
	t.add("limits.fetched_answer", number[int]{&c.Limits.FetchedAnswer, kib, 16 * mib, false, sizeUnit()},
		"Largest answer from a resource of auth.oauth[].fetch.")
	c.Limits.FetchedAnswers = 64 * mib
	t.add("limits.fetched_answers", number[int64]{&c.Limits.FetchedAnswers, kib, tib, false, sizeUnit()},
		"Bytes of all fetched answers, for all users. Beyond this an answer is published and not stored.")
	t.oneOf("limits.nul", &c.Limits.NUL,
		"What to do with a message with a NUL byte in its body. stompjs 2.3.3 and other old browser libraries parse the rest of such a body as further frames, so a sender could forge messages in their pages. replace: clients of STOMP 1.0 and 1.1 over WebSocket and SockJS get U+FFFD, the replacement character, for NULs; all others get the body unchanged. refuse: no client can send a NUL; this also protects pages with webstomp-client, which speaks 1.2. pass: every client gets the body unchanged.",
		"replace", "refuse", "pass")

	t.oneOf("queues.mode", &c.Queues.Mode,
		"Meaning of /queue/**. work: each message goes to one of the competing consumers, and waits while there is none. broadcast: the same as /topic, like Spring's simple broker.",
		"work", "broadcast")
	t.count("queues.messages", &c.Queues.Messages, 10_000, 1_000_000_000, "Messages in one queue. A full queue refuses new messages and never drops any.")
	t.bigSize("queues.bytes", &c.Queues.Bytes, 64*mib, kib, tib, "Bytes of the messages in one queue.")
	t.count("queues.attempts", &c.Queues.Attempts, 5, 1000, "Deliveries of a message before it goes to /queue/DLQ.<name>.")
	t.count("queues.queues", &c.Queues.Queues, 1000, 10_000_000, "Number of queues at one time.")
	t.bigSize("queues.total_bytes", &c.Queues.TotalBytes, gib, kib, tib, "Bytes of the messages in all queues.")
	t.count("queues.queues_per_user", &c.Queues.QueuesPerUser, 250, 10_000_000,
		"Queues created by one user, or by the anonymous clients of one address: a queue counts for the client that sent or subscribed to it first. Messages of the admin API and sessions with the role backend do not count.")
	t.bigSize("queues.bytes_per_user", &c.Queues.BytesPerUser, 256*mib, kib, tib,
		"Bytes of the messages in all queues sent by one user, or by the anonymous clients of one address.")
	t.count("queues.prefetch", &c.Queues.Prefetch, 100, 1_000_000,
		"Unacknowledged messages of a subscription without a prefetch-count header.")
	t.add("queues.transient", list{&c.Queues.Transient, "patterns that begin with /queue/", queuePattern},
		"Queues that are never kept: a message goes to all clients that are subscribed at that moment, as on a topic, and the limits of queues do not apply. Behind Spring's broker relay, set `/queue/*-user*`: Spring translates a /user destination to such a queue for each session, and messages to a session that has ended would otherwise be kept forever. Dead letters, in /queue/DLQ.<name>, are always kept.")

	bindDestinations(t, &c.Destinations)
	bindAuth(t, &c.Auth)
	bindWebFlow(t, &c.WebFlow)

	c.Log.Level = slog.LevelInfo
	t.add("log.level", level{&c.Log.Level}, "Lowest level that is logged.")
	t.oneOf("log.sessions", &c.Log.Sessions,
		"Level of the records \"session started\" and \"session ended\". Use debug or off for very many sessions. A session that ends because it was denied, exceeded a limit or read too slowly is always logged as a warning.",
		"info", "debug", "off")
	t.oneOf("log.format", &c.Log.Format, "auto is text on a terminal and json otherwise.", "auto", "text", "json")

	t.duration("drain.timeout", &c.Drain.Timeout, 30*time.Second, 0, time.Hour, false,
		"Longest time of a shutdown, after drain.delay. Then the remaining sessions are closed at once; with 0s, all sessions are.")
	t.duration("drain.delay", &c.Drain.Delay, 0, 0, time.Hour, false,
		"How long /readyz fails after SIGTERM while the broker keeps working and accepts new sessions. Set it to the time that your load balancer needs to notice, such as 10s.")
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
		"tls":            "TLS for the public and TCP listeners. The admin listener has no TLS: keep it on loopback.",
		"websocket":      "The WebSocket endpoint.",
		"heartbeat":      "Heart-beats, as STOMP negotiates them, and WebSocket pings.",
		"limits":         "Limits for one session, for one user or address, and in total.",
		"queues":         "The /queue/** destinations. Messages are in memory and are lost when the broker stops.",
		"destinations":   "Prefixes of destinations. Write rules with these prefixes; the broker's own destinations, such as /app/bootstrap and /user/topic/session, are below them.",
		"auth":           "Authentication. With no key set here, the broker runs in development mode: it listens on loopback only, anyone can connect, and logins are not checked.",
		"auth.users":     "Users with a password.",
		"auth.tickets":   "Single-use tickets, for pages that cannot send a header with their WebSocket.",
		"auth.sessions":  "The login sessions of auth.oauth.",
		"auth.webhook":   "Your own backend authenticates clients and decides about destinations.",
		"webflow":        "Pages that wait for a person's action elsewhere, such as approving a login on a phone. They register at /app/registration, or poll GET /operations/{webSocketId}/result. The result comes from the admin API or from `hoofbeat notify`.",
		"webflow.events": "Events about waiting pages, sent to your application.",
		"log":            "The log, on standard error.",
		"drain":          "Shutdown by SIGTERM or SIGINT. A second signal stops the broker at once.",
	}
}
