package testkit

import (
	"io"
	"net"
	"testing"
)

// Raw answers each connection with a text that need not be HTTP, and closes it.
// It returns its URL, and ends with the test.
func Raw(t testing.TB, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			_, _ = c.Read(buffer)
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		Receive(t, ended)
	})
	return "http://" + l.Addr().String()
}
