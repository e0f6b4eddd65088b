package sockjs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

func Example() {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	mux := http.NewServeMux()
	h := sockjs.Handler(b, sockjs.Options{Prefix: "/ws"})
	mux.Handle("/ws", h)  // WebSocket, as before
	mux.Handle("/ws/", h) // SockJS

	srv := httptest.NewServer(mux)
	defer srv.Close()
	res, err := http.Post(srv.URL+"/ws/000/abcdefgh/xhr", "", nil)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	frame, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s", frame)
	// Output: o
}
