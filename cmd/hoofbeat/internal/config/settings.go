package config

import (
	"log/slog"
	"time"
)

// Config is the whole configuration. Each field with a tag is a key, or a
// section of keys: fields.go explains the tags. Limits are positive, or [Off];
// the address of a listener that is off is "".
type Config struct {
	// Public listener: WebSocket, /livez and /readyz. Addresses other than
	// loopback require authentication, or auth.anonymous: true. unix:/path is
	// a socket for a reverse proxy; the owner and the group of this process
	// can open it (mode 0660), and it also requires authentication. Add unix
	// to auth.trusted_proxies.
	Listen string `key:"listen" is:"listener" default:"127.0.0.1:8080"`
	// Admin listener: the JSON API. Every request needs the bearer token.
	// Addresses other than loopback require a token that you set; a generated
	// one is not enough.
	Admin string `key:"admin" is:"address" default:"127.0.0.1:8081"`
	// Plain STOMP over TCP, for backends and for Spring's broker relay. 61613
	// is the usual port.
	TCP string `key:"tcp" is:"address"`
	// Bearer token of the admin API. Without it and without admin_token_file,
	// a token is generated at start-up and written to a file of mode 0600.
	AdminToken string `key:"admin_token,env" is:"token" needs:"admin"`
	// File whose first line is the bearer token of the admin API; only its
	// owner can read it. Created if the file does not exist.
	AdminTokenFile string `key:"admin_token_file" is:"file" needs:"admin generated-token"`
	// Serve profiles of the Go runtime below /debug/pprof of the admin
	// listener; they need the bearer token.
	AdminPprof bool `key:"admin_pprof" needs:"admin"`
	// Name of this broker among several. Empty: cluster.name, or else a new
	// random name at each start.
	Node string `key:"node" want:"a text such as broker-1"`
	// Brokers listed in the reply to a page that asks at /app/bootstrap where
	// it can connect. In a cluster only those that are live are listed, and
	// each node needs only its own entry, with cluster.name as id.
	//
	//	{id: broker-1, url: "wss://one.example.com/ws"}
	Nodes []Node `key:"nodes"`
	// Serve SockJS below websocket.path, for clients that cannot open a
	// WebSocket: new SockJS("http://127.0.0.1:8080/ws"). Set it to false to
	// serve only the WebSocket.
	SockJS bool `key:"sockjs" default:"true" needs:"listen"`
	// Cookie that ties together the requests of a SockJS session without a
	// WebSocket; a load balancer can route by it (with Spring it uses
	// JSESSIONID). Its value is random and is not a credential. A session that
	// was opened with a ticket, a bearer token or the cookie of auth.oauth is
	// tied to that credential instead. A session of a client without cookies
	// is tied to the client's address, which is the proxy's address if the
	// proxy is not listed in auth.trusted_proxies. Browsers withhold the
	// cookie from pages of other sites: give those pages a ticket. Empty: no
	// cookie.
	SockJSCookie string `key:"sockjs_cookie" is:"cookie or empty" default:"hoofbeat-sockjs" needs:"listen sockjs" spring:"JSESSIONID"`
	// Accept the selector header of a SUBSCRIBE, such as headers.region ==
	// 'eu', like Spring's simple broker: the subscription gets only the
	// messages that match. If false, a SUBSCRIBE with that header is refused.
	Selectors bool `key:"selectors" spring:"true"`
	// Use the defaults of another broker for keys that are not set in this
	// file, in the environment or on the command line. spring: queues.mode is
	// broadcast, selectors is true, sockjs_cookie is JSESSIONID. Destinations
	// can have any prefix, unless destinations.topic is set. Everything else
	// that Spring's clients expect works without it. It changes no
	// permissions: Spring allows every client to send to /topic/**; Hoofbeat
	// needs a rule for that, except in development mode.
	Compatibility string `key:"compatibility" is:"broker"`
	// Topics whose latest messages are kept, for clients that come back or want
	// the last value: in memory, or in store.dir if that is set. The offset
	// header of a SUBSCRIBE says where it begins. A topic belongs to the first entry that matches it. See
	// docs/history.md. A reload applies changed limits. Another destination,
	// or another number or order of entries, needs a restart; until then the
	// limits do not change.
	//
	//	{destination: "/topic/prices/**", messages: 1}
	History []History `key:"history"`
	// Bytes of all entries of history: the sum of history[].bytes must be
	// within it. A reload applies a change with those of history.
	HistoryBytes Bytes `key:"history_bytes" default:"256MiB" range:"1KiB to 1TiB, or off"`
	// Topics for which clients can ask, and watch, who is subscribed: Ant
	// patterns such as /topic/room/**. For /topic/room/7 a client subscribes to
	// /app/presence/topic/room/7, which is answered with a list, and to
	// /topic/presence/topic/room/7 for who joins and leaves. Clients need a
	// rule that names /app/presence/ or /topic/presence/, and may subscribe to
	// the topic itself. In development mode they need no rule. See
	// docs/presence.md.
	Presence []string `key:"presence" want:"patterns of topics such as /topic/room/**"`
	// Servers of your application that handle what clients send to destinations
	// below /app, each SEND or SUBSCRIBE by one POST. See docs/handlers.md.
	//
	//	{destination: "/app/orders/{id}", url: "http://127.0.0.1:3000/orders"}
	Handlers []Handler `key:"handlers"`
	// Requests to all handlers at the same time. Further ones wait for their
	// turn.
	HandlersInFlight int `key:"handlers_in_flight" default:"256" range:"1 to 100000" needs:"handlers"`
	// Memory of the requests to handlers that are not answered yet. A session
	// whose request finds no room stops reading until there is some.
	HandlersBytes Bytes `key:"handlers_bytes" default:"64MiB" range:"1KiB to 1TiB, or off" needs:"handlers"`

	// Topics to which clients may subscribe durably: what is published while a
	// client is away waits for it, in memory. A topic belongs to the first
	// entry that matches it, and a subscription must lie within one entry. See
	// docs/durable.md.
	//
	//	{destination: "/topic/orders/**", messages: 1000, age: 24h}
	Durable []Durable `key:"durable"`

	// TLS for the public and TCP listeners. The admin listener has no TLS:
	// keep it on loopback.
	TLS TLS `key:"tls"`
	// The WebSocket endpoint.
	WebSocket WebSocket `key:"websocket" needs:"listen"`
	// Heart-beats, as STOMP negotiates them, and WebSocket pings.
	HeartBeat HeartBeat `key:"heartbeat"`
	// Limits for one session, for one user or address, and in total.
	Limits Limits `key:"limits"`
	// The /queue/** destinations. Without store.dir messages are in memory and
	// are lost when the broker stops.
	Queues Queues `key:"queues" needs:"queues.mode"`
	// The store on disk. Without store.dir there is none.
	Store Store `key:"store" needs:"store.dir"`
	// Several nodes that serve the same clients. Without cluster.listen and
	// cluster.url this one is alone. docs/cluster.md says what nodes share.
	Cluster Cluster `key:"cluster" needs:"cluster"`
	// Prefixes of destinations. Write rules with these prefixes; the broker's
	// own destinations, such as /app/bootstrap and /user/topic/session, are
	// below them.
	Destinations Destinations `key:"destinations"`
	// Authentication. With no key set here, the broker runs in development
	// mode: it listens on loopback only, anyone can connect, and logins are
	// not checked.
	Auth Auth `key:"auth"`
	// Pages that wait for a person's action elsewhere, such as approving a
	// login on a phone. They register at /app/registration, or poll GET
	// /operations/{webSocketId}/result. The result comes from the admin API or
	// from `hoofbeat notify`.
	WebFlow WebFlow `key:"webflow" needs:"webflow"`
	// Events about sessions and subscriptions, sent to your application.
	Events Events `key:"events" needs:"events.url"`
	// The log, on standard error.
	Log Log `key:"log"`
	// Shutdown by SIGTERM or SIGINT. A second signal stops the broker at once.
	Drain Drain `key:"drain"`

	// Rules are not a key: only the file can have them.
	Rules []Rule

	warnings []string
	places   map[string]string // where each key was given that was
}

// Node is one item of nodes.
type Node struct {
	// The node key of that broker.
	ID string `key:"id,must"`
	// Its WebSocket endpoint.
	URL string `key:"url,must" is:"websocket url"`
}

// History is one item of history.
type History struct {
	// Topics with this history: an Ant pattern.
	Destination string `key:"destination,must" want:"a pattern of topics such as /topic/prices/**"`
	// Messages that are kept for each topic; the oldest are dropped. 1 keeps
	// the last value.
	Messages int `key:"messages" default:"100" range:"1 to 1000000000, or off"`
	// How long a message is kept. off: until another limit is reached.
	Age time.Duration `key:"age" default:"off" range:"1s to 8760h, or off"`
	// Memory of the messages of this entry, or their part of store.disk; the
	// oldest are dropped. off is accepted only if history_bytes is off and
	// nothing is kept on disk.
	Bytes Bytes `key:"bytes" default:"64MiB" range:"1KiB to 1TiB, or off"`
}

// Durable is one item of durable.
type Durable struct {
	// Topics of these subscriptions: an Ant pattern.
	Destination string `key:"destination,must" want:"a pattern of topics such as /topic/orders/**"`
	// Messages that wait for one subscription, including unacknowledged ones.
	// At the limit the oldest is dropped, and the next MESSAGE says so.
	Messages int `key:"messages" default:"10000" range:"1 to 1000000000, or off"`
	// Memory of these messages. They also count in queues.total_bytes and
	// queues.bytes_per_user.
	Bytes Bytes `key:"bytes" default:"16MiB" range:"1KiB to 1TiB, or off"`
	// How long a message waits before it is dropped in the same way.
	Age time.Duration `key:"age" default:"168h" range:"1s to 8760h, or off"`
	// How long a subscription exists without its client.
	Unused time.Duration `key:"unused" default:"720h" range:"1s to 8760h, or off"`
}

// TLS is the section tls.
type TLS struct {
	// PEM file with the certificate and its chain. Enables TLS for listen and
	// tcp.
	Cert string `key:"tls.cert" is:"file"`
	// PEM file with the private key of the certificate.
	Key string `key:"tls.key" is:"file"`
	// PEM file with the authorities that must have signed client certificates.
	// If set, every client needs a certificate.
	ClientCA string `key:"tls.client_ca" is:"file"`
}

// WebSocket is the section websocket.
type WebSocket struct {
	// Path of the WebSocket endpoint.
	Path string `key:"websocket.path" is:"path" default:"/ws"`
	// Web origins whose pages can connect, in addition to pages of the
	// requested host. The port can be *. file://, "null" in quotes, and the
	// schemes of apps, such as capacitor://localhost, are also origins. *
	// allows every origin. Empty: only pages of the requested host; in
	// development mode, all pages of this machine (localhost, with any port).
	Origins []string `key:"websocket.origins,live" is:"origins"`
	// Hosts under which clients reach the broker. If set, the Host header of
	// every HTTP request, except /livez and /readyz, must be one of them, the
	// host of one of websocket.origins, localhost or an IP address; others get
	// 403. Set it if auth.anonymous is true and the broker is in a private
	// network: without it, a page of any site can connect from a browser there
	// (DNS rebinding). A host without a port has any port. * is every host.
	// Empty: every host; in development mode, only this machine.
	Hosts []string `key:"websocket.hosts,live" is:"hosts"`
	// Compress messages for clients that offer permessage-deflate. This costs
	// CPU and saves bandwidth. Leave it off if one message can contain both a
	// secret and text chosen by an attacker, because its length then reveals
	// information about the secret.
	Compression bool `key:"websocket.compression"`
}

// HeartBeat is the section heartbeat.
type HeartBeat struct {
	// How often the broker offers to send a heart-beat.
	Send time.Duration `key:"heartbeat.send" default:"10s" range:"10ms to 1h, or off"`
	// How often the broker expects a heart-beat from a client. A client that
	// is silent for three intervals is disconnected.
	Expect time.Duration `key:"heartbeat.expect" default:"10s" range:"10ms to 1h, or off"`
	// Disconnect a client that negotiated heart-beats, sends no byte of STOMP
	// for this long and only answers pings, which its system does even if the
	// page hangs. A page in the background stays connected: its timers run
	// once a minute. Never less than three heart-beat intervals of that
	// client.
	Patience time.Duration `key:"heartbeat.patience" default:"10m" range:"1s to 168h, or off" needs:"heartbeat.expect"`
	// Send a WebSocket ping this often to a silent client that negotiated no
	// heart-beats, so that proxies keep the connection open and dead clients
	// are found. Over SockJS it is the interval of SockJS's own heart-beat, at
	// most twice heartbeat.expect.
	Ping time.Duration `key:"heartbeat.ping" default:"25s" range:"10ms to 1h, or off" needs:"listen"`
}

// Destinations is the section destinations. [Config.Prefixes] returns what is
// in force.
type Destinations struct {
	// Prefixes of topics. / makes every destination without another prefix a
	// topic, as in Spring's simple broker without prefixes. Empty: /topic, and
	// with compatibility: spring also /.
	Topic []string `key:"destinations.topic" want:"prefixes such as /topic, or /"`
	// Prefixes of queues. The dead letters of /jobs/a are in /jobs/DLQ.a.
	Queue []string `key:"destinations.queue" want:"prefixes such as /queue" default:"/queue"`
	// Prefixes of handlers. All are equivalent: /ws/bootstrap is
	// /app/bootstrap. A rule that names one of them applies to all.
	App []string `key:"destinations.app" want:"prefixes such as /app" default:"/app"`
	// Prefix of user destinations. A page subscribes to its own /user/queue/x
	// or /user/events; the application sends to /user/{name}/queue/x or
	// /user/{name}/events.
	User string `key:"destinations.user" want:"a prefix such as /user" default:"/user"`
}

// Log is the section log.
type Log struct {
	// Lowest level that is logged.
	Level slog.Level `key:"log.level,live" default:"info"`
	// Level of the records "session started" and "session ended". Use debug or
	// off for very many sessions. A session that ends because it was denied,
	// exceeded a limit or read too slowly is always logged as a warning.
	Sessions string `key:"log.sessions,live" oneof:"info debug off" default:"info"`
	// auto is text on a terminal and json otherwise.
	Format string `key:"log.format" oneof:"auto text json" default:"auto"`
}

// Drain is the section drain.
type Drain struct {
	// Longest time of a shutdown, after drain.delay. Then the remaining
	// sessions are closed at once; with 0s, all sessions are.
	Timeout time.Duration `key:"drain.timeout" default:"30s" range:"0s to 1h"`
	// How long /readyz fails after SIGTERM while the broker keeps working and
	// accepts new sessions. Set it to the time that your load balancer needs
	// to notice, such as 10s.
	Delay time.Duration `key:"drain.delay" default:"0s" range:"0s to 1h"`
	// Time over which the sessions are then closed, with code 1012, so that
	// their clients do not all reconnect at once. A hundred sessions or fewer
	// are closed at once. It takes at most four fifths of drain.timeout.
	Spread time.Duration `key:"drain.spread" default:"20s" range:"0s to 1h" needs:"drain.timeout"`
}
