//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// sockJSTransports are the four, by the names that sockjs-client has for them.
var sockJSTransports = []string{"websocket", "xhr-streaming", "eventsource", "xhr-polling"}

// sockJS is one session of the protocol as bytes, for what no library lets out.
type sockJS struct {
	t      *testing.T
	c      *http.Client
	base   string // of the session, without the query
	query  string
	header http.Header
	frames chan string     // what comes: o, a[…], c[…], h, or "HTTP 401" of the request that receives
	ws     *websocket.Conn // nil over HTTP
}

var sockJSSessions atomic.Int64

// openSockJS begins a session at an endpoint, which may have a query, and returns when
// it is open or refused.
func openSockJS(t *testing.T, c *http.Client, endpoint, transport string, header http.Header) *sockJS {
	t.Helper()
	base, query, _ := strings.Cut(endpoint, "?")
	if query != "" {
		query = "?" + query
	}
	p := &sockJS{
		t: t, c: c, base: fmt.Sprintf("%s/000/session%d", base, sockJSSessions.Add(1)), query: query,
		header: header, frames: make(chan string, 1000),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); testkit.Receive(t, ended) })
	if transport == "websocket" {
		ws, res, err := websocket.Dial(ctx, p.base+"/websocket"+p.query, &websocket.DialOptions{HTTPClient: c, HTTPHeader: header})
		if err != nil {
			close(ended)
			if res == nil {
				t.Fatal(err)
			}
			p.frames <- fmt.Sprintf("HTTP %d", res.StatusCode)
			return p
		}
		p.ws = ws
		t.Cleanup(func() { _ = ws.CloseNow() }) // it may be closed already
	}
	go func() {
		defer close(ended)
		for p.receive(ctx, transport) {
		}
	}()
	return p
}

// receive takes what the next response, or message, has. It reports false at the end.
func (p *sockJS) receive(ctx context.Context, transport string) bool {
	if p.ws != nil {
		_, frame, err := p.ws.Read(ctx)
		if err == nil {
			p.frames <- string(frame)
		}
		return err == nil
	}
	method, path := http.MethodPost, map[string]string{"xhr-streaming": "/xhr_streaming", "eventsource": "/eventsource", "xhr-polling": "/xhr"}[transport]
	if transport == "eventsource" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, p.base+path+p.query, nil)
	if err != nil {
		p.frames <- err.Error()
		return false
	}
	for name, values := range p.header {
		r.Header[name] = values
	}
	res, err := p.c.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		p.frames <- fmt.Sprintf("HTTP %d", res.StatusCode)
		return false
	}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		frame := strings.TrimSuffix(lines.Text(), "\r")
		if transport == "eventsource" {
			frame = strings.ReplaceAll(strings.TrimPrefix(frame, "data: "), "%25", "%")
		}
		if frame == "" || strings.HasPrefix(frame, "hh") { // between events, and the prelude
			continue
		}
		p.frames <- frame
		if strings.HasPrefix(frame, "c[") {
			return false
		}
	}
	return true
}

// frame returns the next frame that is no heart-beat.
func (p *sockJS) frame() string {
	p.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case f := <-p.frames:
			if f != "h" && f != `a["\n"]` {
				return f
			}
		case <-late:
			p.t.Fatal("no frame for a minute")
		}
	}
}

func (p *sockJS) want(frame string) {
	p.t.Helper()
	if got := p.frame(); got != frame {
		p.t.Fatalf("got %q, want %q", got, frame)
	}
}

// next returns the next STOMP frames, at least n.
func (p *sockJS) next(n int) (list []string) {
	p.t.Helper()
	for len(list) < n {
		frame := p.frame()
		var some []string
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "a")), &some); err != nil {
			p.t.Fatalf("got %q", frame)
		}
		for _, text := range some {
			if text != "\n" {
				list = append(list, text)
			}
		}
	}
	return list
}

// send sends STOMP frames, as one SockJS message each.
func (p *sockJS) send(frames ...string) {
	p.t.Helper()
	body, err := json.Marshal(frames)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.ws != nil {
		ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
		defer cancel()
		if err := p.ws.Write(ctx, websocket.MessageText, body); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	if status, text := send(p.t, p.c, "POST", p.base+"/xhr_send"+p.query, p.header, string(body)); status != http.StatusNoContent {
		p.t.Fatalf("xhr_send: HTTP %d %s", status, text)
	}
}

// connect opens the STOMP session and returns the CONNECTED frame.
func (p *sockJS) connect(headers ...string) string {
	p.t.Helper()
	p.want("o")
	p.send("CONNECT\naccept-version:1.2\nheart-beat:10000,10000\n" + strings.Join(append(headers, ""), "\n") + "\n\x00")
	f := p.next(1)[0]
	if !strings.HasPrefix(f, "CONNECTED\n") {
		p.t.Fatalf("got %q", f)
	}
	return f
}
