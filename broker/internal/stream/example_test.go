package stream_test

import (
	"fmt"
	"io"
	"net"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

func Example() {
	nc, peer := net.Pipe()
	go func() {
		answer := make([]byte, 5)
		peer.Write([]byte("hello"))
		io.ReadFull(peer, answer)
		fmt.Printf("the peer reads %s\n", answer)
		peer.Close()
	}()

	c := stream.New(nc, nil)
	defer c.Close()
	err := c.Receive(func(p []byte) error {
		n, err := c.TryWrite(p)
		if err == nil && n < len(p) {
			_, err = c.Write(p[n:])
		}
		return err
	})
	fmt.Println(err == io.EOF)
	// Output:
	// the peer reads hello
	// true
}
