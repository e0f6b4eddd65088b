// Package sockjs lets clients in that cannot open a WebSocket: sockjs-client
// (protocol 0.3.3) falls back to plain HTTP, and its sessions are sessions of the
// broker like any other. One path serves both kinds of client, as an endpoint
// with SockJS does in Spring.
//
//	h := sockjs.Handler(b, sockjs.Options{Prefix: "/ws"})
//	mux.Handle("/ws", h)  // WebSocket, as before
//	mux.Handle("/ws/", h) // SockJS
//
// # Transports
//
// websocket, xhr-streaming, eventsource and xhr-polling, and the raw WebSocket at
// Prefix/websocket. htmlfile and jsonp-polling are left out, and answered with
// 404: both exist for browsers without CORS, and both execute what they receive.
// SockJS carries text. In a message that is not UTF-8 its clients see U+FFFD, the
// replacement character, for what is none.
//
// # Who may do what
//
// The request that opens a session goes through [broker.Broker.Admit]: Origin,
// caps and authenticator, with the ticket in the URL (?ticket=…) consumed once;
// /info consumes nothing. The session id in the URL is the client's choice and no
// secret, and never the id of the broker's session. So each later request must
// show what the first one did, of which a hash is kept: the same ticket or bearer
// token, else the same cookie ([Options.Cookie], [Options.OwnCookie]), else the
// same remote address. Otherwise there is no such session: 404.
//
// A ticket works for one attempt: if a WebSocket was opened with it and then
// broke, the fallback that sockjs-client tries by itself is refused, and the page
// fetches a new ticket and starts again. A proxy that refuses the upgrade, or
// forwards it as a plain request, costs no ticket.
//
// # Heart-beats
//
// An `h` frame goes out when nothing else did for [Options.HeartBeat], 25 s.
// STOMP's heart-beats come more often, so while they run there is none. And when
// nothing came in for as long, the client's network stack is asked to show that
// it lives, because the timers of a page in the background run once a minute: a
// WebSocket is pinged, and an HTTP response ends, to be opened again at once.
//
// # What a session costs
//
// The two goroutines of [broker.Broker.Serve]: nothing more while no request is
// open. A waiting poll or stream costs the goroutine of its request, and the
// SockJS WebSocket one that reads. What waits for a client that is not polling
// is bounded by [broker.Limits].Outbox and by [Options.DisconnectDelay].
package sockjs
