// Package sockjs serves clients that cannot open a WebSocket: sockjs-client
// (protocol 0.3.3) falls back to plain HTTP. Its sessions behave like all other
// sessions of the broker. One path serves both kinds of client, as an endpoint
// with SockJS does in Spring.
//
//	h := sockjs.Handler(b, sockjs.Options{Prefix: "/ws"})
//	mux.Handle("/ws", h)  // WebSocket, as before
//	mux.Handle("/ws/", h) // SockJS
//
// To stop: [broker.Broker.Drain], then [Endpoint.Shutdown], then
// [http.Server.Shutdown].
//
// # Transports
//
// The handler supports websocket, xhr-streaming, eventsource, xhr-polling, and
// the raw WebSocket at Prefix/websocket. It answers htmlfile and jsonp-polling
// with 404: both exist for browsers without CORS, and both execute what they
// receive. SockJS carries text only. In a message that is not UTF-8, its
// clients see U+FFFD, the replacement character, in place of invalid bytes.
//
// # Access control
//
// The request that opens a session goes through [broker.Broker.Admit]: the
// Origin, the caps and the authenticator. Admit consumes the ticket in the URL
// (?ticket=…); /info does not. The client chooses the session id in the URL, so
// that id is no secret, and it is never the id of the broker's session. Each
// later request must therefore repeat a proof from the first one, of which the
// handler stores a hash: the same ticket or bearer token, else the same cookie
// ([Options.Cookie], [Options.OwnCookie]), else the same remote address.
// Without it the answer is 404, as for a session that does not exist.
//
// A ticket works for one attempt. If a WebSocket opened with it breaks, the
// automatic fallback of sockjs-client is refused; the page must fetch a new
// ticket and start again. A proxy that refuses the upgrade, or forwards it as a
// plain request, does not use up the ticket.
//
// # Heart-beats
//
// The handler sends an `h` frame when it has sent nothing else for
// [Options.HeartBeat], 25 s. STOMP's own heart-beats are more frequent, so
// while they run no `h` frame is needed. When the client has sent nothing for
// that time, the handler checks its network stack, because the timers of a
// background page run only once a minute: it pings a WebSocket, and ends an
// HTTP response so that the client opens it again at once.
//
// # Cost of a session
//
// A session takes the two goroutines of [broker.Broker.Serve], and nothing more
// while no request is open. A waiting poll or stream takes the goroutine of its
// request, and the SockJS WebSocket one goroutine that reads.
// [broker.Limits].Outbox and [Options.DisconnectDelay] limit the data that
// waits for a client that is not polling.
package sockjs
