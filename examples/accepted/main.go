// Command accepted shows Broker.Serve: the program accepts WebSockets itself,
// with another WebSocket library, and hands them to the broker. Use this if
// your program needs its own routing, compression or sub-protocols.
//
//	go run ./examples/accepted
//	hoofbeat sub -u ws://127.0.0.1:8090/stomp /topic/news
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

func main() {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous, Authorizer: auth.Open()})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	http.Handle("/stomp", handler(b))
	log.Print("listening on ws://127.0.0.1:8090/stomp")
	log.Print(http.ListenAndServe("127.0.0.1:8090", nil))
}

func handler(b *broker.Broker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Check the Origin and the limits, and authenticate the handshake,
		// first.
		admission, err := b.Admit(r)
		if err != nil {
			auth.WriteRefusal(w, err)
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols:       []string{"v12.stomp", "v11.stomp", "v10.stomp"},
			InsecureSkipVerify: true, // Admit has checked the Origin
		})
		if err != nil {
			admission.Release()
			return // Accept has sent the error
		}
		// The broker limits frames, across WebSocket messages.
		conn.SetReadLimit(-1)
		if err := b.Serve(r.Context(), &socket{conn: conn}, admission); err != nil {
			log.Printf("session: %v", err)
		}
	})
}

// socket implements broker.Transport with one coder/websocket connection.
type socket struct{ conn *websocket.Conn }

func (s *socket) Receive() ([]byte, error) {
	_, p, err := s.conn.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) { // the peer closed the connection properly
		err = &broker.CloseError{Code: int(closed.Code), Reason: closed.Reason}
	}
	return p, err
}

func (s *socket) Send(frames [][]byte) error {
	for _, f := range frames {
		kind := websocket.MessageText
		if !utf8.Valid(f) {
			kind = websocket.MessageBinary
		}
		if err := s.conn.Write(context.Background(), kind, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *socket) Close(code int, reason string) error {
	if code == 1006 {
		return s.conn.CloseNow()
	}
	return s.conn.Close(websocket.StatusCode(code), reason)
}
