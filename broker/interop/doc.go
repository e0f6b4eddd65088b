// Package interop holds no code, only tests: it drives a real broker with the
// clients that people really use, each in its own language and unchanged.
//
//	clients/stompjs.mjs      @stomp/stompjs 7, the browser library of today
//	clients/stompjs-ack.mjs  its acknowledgements and transactions
//	clients/stompjs2.mjs     stompjs 2.3.3, the browser library of old pages,
//	                         with every byte of it recorded on the wire
//	clients/webstomp.mjs     webstomp-client
//	clients/rxstomp.mjs      @stomp/rx-stomp, what Angular programs use
//	clients/stomppy.py       stomp.py, over TCP
//	clients/browser.mjs      clients/page in Chromium
//	gostomp_test.go          go-stomp, over TCP and over WebSocket
//
// Names such as C-3 or trap 41 in the tests are those of docs/contract.md.
//
// A Go test starts the broker and a script, gives it the addresses as JSON in
// its only argument, and reads what it prints: one JSON line for each test it
// made, `{"test":"…","ms":12}` or with an "error", and `{"done":N}` at its end.
// Each line becomes a subtest. What a script wants from the broker as a program
// would, such as the end of a session, it asks of handlers under /app/control.
//
// To run them all, install what they drive:
//
//	npm ci                                     (in this folder; Node 20 or later)
//	apt-get install chromium python3-stomp
//
// What is missing is skipped, unless HOOFBEAT_E2E=required is set: then it fails.
package interop
