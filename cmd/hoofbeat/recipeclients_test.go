//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// needs returns the path of a tool.
func needs(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, install)
	}
	return path
}

// missing ends the test when something is not there, as a failure where everything
// has to run.
func missing(t *testing.T, what, install string) {
	t.Helper()
	if os.Getenv("HOOFBEAT_E2E") == "required" {
		t.Fatalf("%s is missing: %s", what, install)
	}
	t.Skipf("%s is missing: %s", what, install)
}

// curl runs curl and returns all it printed: headers and body.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needs(t, "curl", "apt-get install curl"), append([]string{"-q", "-sS", "-i", "-k", "--http1.1", "--noproxy", "*", "--max-time", "10"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl %q: %v\n%s%s", args, err, out.String(), complaints.String())
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// wantHTTP has curl ask, checks the status, of several answers that of the first,
// and that there is some text in the headers or the body, and returns both.
func wantHTTP(t *testing.T, status int, text string, args ...string) string {
	t.Helper()
	answer := curl(t, args...)
	if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(answer, text) {
		t.Errorf("curl %q is answered, want HTTP %d and %q:\n%s", args, status, text, answer)
	}
	return answer
}

// refusedHandshake has curl ask for a WebSocket that it must not get.
func refusedHandshake(t *testing.T, status int, text, url string, headers ...string) {
	t.Helper()
	args := []string{
		"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	wantHTTP(t, status, text, append(args, url)...)
}

// curlLogin signs in as a browser does, by redirects and cookies, and returns the
// cookie that is left.
func curlLogin(t *testing.T, s *server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cookies")
	wantHTTP(t, 302, "This is hoofbeat", "-L", "-c", file, "-b", file, s.web()+"/oauth/login")
	jar, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(jar), "\n") { // Netscape's format
		if fields := strings.Fields(line); len(fields) == 7 && fields[5] == "hoofbeat" {
			return fields[5] + "=" + fields[6]
		}
	}
	t.Fatalf("no session cookie:\n%s", jar)
	return ""
}

// stompjs makes the visit with @stomp/stompjs in Node.
func (v visit) stompjs(t *testing.T, s *server) {
	path := needs(t, "node", "apt-get install nodejs npm")
	for _, module := range []string{"@stomp/stompjs", "ws"} {
		if _, err := os.Stat("../../examples/node_modules/" + module); err != nil {
			missing(t, module, "npm install --prefix examples")
		}
	}
	argument, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, path, "testdata/recipe.mjs", string(argument))
	var complaints bytes.Buffer
	node.Stderr = &complaints
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for in := bufio.NewScanner(out); in.Scan(); {
		if lines = append(lines, in.Text()); in.Text() == "subscribed" {
			v.check(t, s)
		}
	}
	err = node.Wait()
	if want := append([]string{"connected as " + v.user, "subscribed"}, v.want()...); err != nil || !slices.Equal(lines, want) {
		t.Errorf("node ended with %v and printed\n%s\nwant\n%s\n%s", err, strings.Join(lines, "\n"), strings.Join(want, "\n"), complaints.String())
	}
}

// gostomp makes the visit with go-stomp.
func (v visit) gostomp(t *testing.T, s *server) {
	header := make(http.Header)
	for name, value := range v.Headers {
		header.Set(name, value)
	}
	o := client.Options{Login: v.Connect["login"], Passcode: v.Connect["passcode"], Header: header, TLS: insecurely}
	address := v.URL
	if v.Ticket != "" {
		address += "?ticket=" + mint(t, s, http.DefaultClient, header)
		o.Header = http.Header{"Origin": header["Origin"]}
	}
	conn, err := dial(t, address, o)
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := conn.Header().Contains("user-name"); ok && name != v.user || !ok && v.user != "nobody" {
		t.Errorf("connected as %q, want %s", name, v.user)
	}
	news, err := conn.Subscribe("/topic/news", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "it is subscribed", func() bool { return s.stats(t).Subscriptions == 1 })
	v.check(t, s)
	lines := []string{next(t, news)}
	if v.Send != "" {
		answers, err := conn.Subscribe(v.Reply, stomp.AckAuto)
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"event":"sent"}`)
		switch {
		case v.Renew:
			body = []byte(`{"ticket":"` + mint(t, s, http.DefaultClient, header) + `"}`)
		case v.Bare:
			body = nil
		}
		opts := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		for name, value := range v.SendHeaders {
			opts = append(opts, stomp.SendOpt.Header(name, value))
		}
		if err := conn.Send(v.Send, "", body, opts...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, next(t, answers))
	}
	if err := conn.Send(v.Denied, "", []byte("x"), stomp.SendOpt.Receipt); err == nil {
		t.Error("it may send where it may not")
	}
	closed(t, conn, 4403)
	var no *client.ErrorFrame
	if errors.As(conn.Err(), &no) {
		lines = append(lines, "ERROR "+no.Message, "closed with 4403")
	}
	if !slices.Equal(lines, v.want()) {
		t.Errorf("it heard %q, want %q", lines, v.want())
	}
}

// next returns the next message as the script of the other client prints it.
func next(t *testing.T, sub *stomp.Subscription) string {
	t.Helper()
	select {
	case m, ok := <-sub.C:
		if !ok || m.Err != nil {
			t.Fatalf("instead of a message came %v", m)
		}
		var notice struct{ Event string }
		if json.Unmarshal(m.Body, &notice) == nil {
			return m.Destination + ": " + notice.Event
		}
		return m.Destination + ": " + string(m.Body)
	case <-time.After(time.Minute):
		t.Fatal("no message for a minute")
		return ""
	}
}
