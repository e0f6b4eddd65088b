// Command accepted serves sockets that it accepted itself, with another
// WebSocket library, by handing them to Broker.Serve: for programs that have an
// accept path of their own, with its own routing, compression or sub-protocols.
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
		// Origin, caps and the authenticator's handshake stage come first.
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
			return // Accept has answered
		}
		conn.SetReadLimit(-1) // the broker limits frames, over all their messages
		if err := b.Serve(r.Context(), &socket{conn: conn}, admission); err != nil {
			log.Printf("session: %v", err)
		}
	})
}

// socket is a broker.Transport over one coder/websocket connection.
type socket struct{ conn *websocket.Conn }

func (s *socket) Receive() ([]byte, error) {
	_, p, err := s.conn.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) { // the peer said goodbye
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
