package wsconn_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

type printer struct{ done chan bool }

func (printer) Data(p []byte) error { fmt.Printf("%s\n", p); return nil }
func (printer) Ping([]byte)         {}
func (printer) Pong()               {}
func (printer) Batch() error        { return nil }

func Example() {
	handler := printer{make(chan bool)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := wsconn.Check(r); err != nil {
			return // answer with the status of the *wsconn.HandshakeError
		}
		c, err := wsconn.Upgrade(w, r, wsconn.Subprotocol(r), false)
		if err != nil {
			return
		}
		go func() {
			defer close(handler.done)
			defer c.Close()
			fmt.Println(c.Receive(handler))
		}()
	}))
	defer s.Close()

	peer, _, err := websocket.Dial(context.Background(), s.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	peer.Write(context.Background(), websocket.MessageText, []byte("hello"))
	peer.CloseNow()
	<-handler.done
	// Output:
	// hello
	// EOF
}
