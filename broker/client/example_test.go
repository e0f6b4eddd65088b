package client_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/broker/client/internal/stomptest"
)

func Example() {
	var tb exampleTB
	defer tb.end()
	server := stomptest.New(&tb, nil) // any STOMP server

	conn, err := client.Dial(context.Background(), server.URL, client.Options{Login: "ann"})
	if err != nil {
		fmt.Println(err) // *RefusedError, *HTTPError and *CloseError tell why
		return
	}
	defer conn.Disconnect()
	sub, err := conn.Subscribe("/topic/greetings", stomp.AckAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := conn.Send("/topic/greetings", "text/plain", []byte("hello"), stomp.SendOpt.Receipt); err != nil {
		fmt.Println(err)
		return
	}
	m := <-sub.C
	fmt.Println(string(m.Body))
	// Output: hello
}

// exampleTB lets an example, which has no *testing.T, use the test server.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()            {}
func (*exampleTB) Fatal(args ...any)  { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) end() {
	for _, f := range t.cleanups {
		f()
	}
}
