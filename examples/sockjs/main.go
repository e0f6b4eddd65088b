// Command sockjs is a page for clients that may be behind a proxy without
// WebSocket: sockjs-client tries WebSocket first, and falls back to plain HTTP.
//
//	npm ci --prefix broker/sockjs
//	go run ./examples/sockjs                  # WebSocket
//	go run ./examples/sockjs -no-websocket    # as behind such a proxy
package main

import (
	_ "embed"
	"flag"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

//go:embed index.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
	modules := flag.String("modules", "broker/sockjs/node_modules", "node_modules directory with sockjs-client and @stomp/stompjs")
	without := flag.Bool("no-websocket", false, "disable WebSocket")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(*modules, "sockjs-client")); err != nil {
		log.Fatal("sockjs-client is missing: npm ci --prefix broker/sockjs")
	}
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous, Authorizer: auth.Open()})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	log.Printf("open http://%s in two windows", *listen)
	log.Print(http.ListenAndServe(*listen, routes(b, *modules, *without)))
}

func routes(b *broker.Broker, modules string, withoutWebSocket bool) http.Handler {
	mux := http.NewServeMux()
	h := sockjs.Handler(b, sockjs.Options{Prefix: "/ws", NoWebSocket: withoutWebSocket})
	mux.Handle("/ws", h)  // plain WebSocket clients
	mux.Handle("/ws/", h) // SockJS
	for path, name := range map[string]string{
		"GET /sockjs.js": "sockjs-client/dist/sockjs.min.js",
		"GET /stomp.js":  "@stomp/stompjs/bundles/stomp.umd.js",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(modules, filepath.FromSlash(name)))
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // the browser may be gone
	})
	return mux
}
