package stomptest

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// Conn is one client connection.
type Conn struct {
	server *Server
	ws     *websocket.Conn // one of ws and tcp is nil
	tcp    net.Conn

	mu            sync.Mutex
	subscriptions map[string]string // destination by id
}

// Send writes a frame in one message. It does not escape headers.
func (c *Conn) Send(command, body string, headers ...string) {
	c.Raw(command + "\n" + strings.Join(append(headers, ""), "\n") + "\n" + body + "\x00")
}

// Raw writes a message unchanged. The reader reports errors.
func (c *Conn) Raw(message string) {
	if c.tcp != nil {
		_, _ = c.tcp.Write([]byte(message))
		return
	}
	_ = c.ws.Write(context.Background(), websocket.MessageText, []byte(message))
}

// Close sends a close frame and waits for the client's. Over TCP it closes the
// connection.
func (c *Conn) Close(code int, reason string) {
	if c.tcp != nil {
		_ = c.tcp.Close()
		return
	}
	_ = c.ws.Close(websocket.StatusCode(code), reason)
}

// Abort closes without a close frame.
func (c *Conn) Abort() {
	if c.tcp != nil {
		_ = c.tcp.Close()
		return
	}
	_ = c.ws.CloseNow()
}

// receive records and answers one message, which must contain a heart-beat or
// exactly one frame. It answers anything else with close code 1002.
func (c *Conn) receive(p []byte, binary bool) bool {
	if string(p) == "\n" {
		return true
	}
	f, ok := parse(string(p))
	if !ok {
		c.Close(1002, "not one frame")
		return false
	}
	f.Binary = binary
	c.server.mu.Lock()
	c.server.frames = append(c.server.frames, f)
	c.server.mu.Unlock()
	if c.server.handle != nil && c.server.handle(c, f) {
		return true
	}
	return c.answer(f)
}

func parse(s string) (Frame, bool) {
	f := Frame{Raw: s}
	s, ok := strings.CutSuffix(s, "\x00")
	head, body, found := strings.Cut(s, "\n\n")
	lines := strings.Split(head, "\n")
	f.Command, f.Headers, f.Body = lines[0], lines[1:], body
	return f, ok && found
}

func (c *Conn) answer(f Frame) bool {
	switch f.Command {
	case "CONNECT":
		version := slices.Max(strings.Split(f.Header("accept-version"), ","))
		c.Send("CONNECTED", "", "version:"+version, "heart-beat:0,0", "session:s1", "server:stomptest", "user-name:"+f.Header("login"))
	case "SUBSCRIBE":
		c.mu.Lock()
		c.subscriptions[f.Header("id")] = f.Header("destination")
		c.mu.Unlock()
	case "UNSUBSCRIBE":
		c.mu.Lock()
		delete(c.subscriptions, f.Header("id"))
		c.mu.Unlock()
	}
	if id := f.Header("receipt"); id != "" {
		c.Send("RECEIPT", "", "receipt-id:"+id)
	}
	switch f.Command {
	case "SEND":
		c.server.Publish(f.Header("destination"), f.Body)
	case "DISCONNECT":
		c.Close(1000, "")
		return false
	}
	return true
}
