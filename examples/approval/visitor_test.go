package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// patience is how long a test waits for something that should happen at once.
const patience = time.Minute

// visitor is a browser without scripts: the tests do the work of the pages'
// scripts.
type visitor struct {
	t    *testing.T
	s    *site
	http *http.Client
}

func (s *site) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, s, &http.Client{Jar: jar, Timeout: patience}}
}

// do sends a form, or nothing, to a site, as a page of that site would.
func (v *visitor) do(method, address string, form url.Values) (*http.Response, string) {
	v.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(body)
}

// wait is the waiting page.
type wait struct{ url, id, number string }

var (
	waitID     = regexp.MustCompile(`data-id="([0-9a-f]{128})"`)
	waitNumber = regexp.MustCompile(`Number </span>(\d\d)<`)
)

// signIn goes from the application to the waiting page: steps 1 to 3.
func (v *visitor) signIn(user string) wait {
	v.t.Helper()
	resp, _ := v.do("GET", v.s.o.App+"/oauth/login", nil)
	form := url.Values{"to": {resp.Request.URL.Query().Get("to")}, "user": {user}, "password": {"hoofbeat"}}
	resp, page := v.do("POST", v.s.o.Provider+"/login", form)
	id, number := waitID.FindStringSubmatch(page), waitNumber.FindStringSubmatch(page)
	if id == nil || number == nil {
		v.t.Fatalf("%s is not the waiting page: %s", resp.Status, page)
	}
	return wait{resp.Request.URL.String(), id[1], number[1]}
}

// answer sends the phone's answer: steps 7 and 8.
func (v *visitor) answer(w wait, verdict string) {
	v.t.Helper()
	_, page := v.do("GET", v.s.o.Provider+"/device", nil)
	if !strings.Contains(page, ">"+w.number+"<") {
		v.t.Fatalf("the phone does not show %s", w.number)
	}
	if resp, _ := v.do("POST", v.s.o.Provider+"/device/"+verdict, url.Values{"id": {w.id}}); resp.StatusCode != http.StatusOK {
		v.t.Fatal(resp.Status)
	}
}

// goOn calls the authorize endpoint again, allows the access, and returns to
// the application: steps 9 and 10.
func (v *visitor) goOn(w wait) {
	v.t.Helper()
	resp, page := v.do("GET", w.url, nil)
	if strings.Contains(page, "Allow access?") {
		resp, page = v.do("POST", v.s.o.Provider+"/consent", url.Values{"id": {w.id}, "decision": {"allow"}})
	}
	if resp.Request.URL.String() != v.s.o.App+"/" || !strings.Contains(page, "Good to see you") {
		v.t.Fatalf("%s at %s: %s", resp.Status, resp.Request.URL.Path, page)
	}
}

// signedIn runs the whole sign-in.
func (v *visitor) signedIn(user string) *visitor {
	v.t.Helper()
	w := v.signIn(user)
	v.answer(w, "approve")
	v.goOn(w)
	return v
}

func (v *visitor) waitTicket(w wait) string {
	v.t.Helper()
	return v.ticket(v.s.o.Provider + "/wait/" + w.id + "/ws_ticket")
}

func (v *visitor) appTicket() string { v.t.Helper(); return v.ticket(v.s.o.App + "/ws_ticket") }

func (v *visitor) ticket(address string) string {
	v.t.Helper()
	resp, body := v.do("POST", address, nil)
	var reply struct {
		Ticket  string
		Expires int64
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil || reply.Ticket == "" || reply.Expires == 0 {
		v.t.Fatalf("%s %v", resp.Status, err)
	}
	v.s.remember(reply.Ticket)
	return reply.Ticket
}

// dial opens a socket at a site with a ticket.
func dial(t *testing.T, origin, ticket string) (*socket, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	address := "ws" + strings.TrimPrefix(origin, "http") + "/ws?ticket=" + ticket
	c, err := client.Dial(ctx, address, client.Options{Header: http.Header{"Origin": {origin}}})
	if err != nil {
		return nil, err
	}
	t.Cleanup(c.Abort)
	return &socket{c, t}, nil
}

func connect(t *testing.T, origin, ticket string) *socket {
	t.Helper()
	s, err := dial(t, origin, ticket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// socket is the WebSocket of a page.
type socket struct {
	*client.Conn
	t *testing.T
}

func (s *socket) subscribe(destination string) *stomp.Subscription {
	s.t.Helper()
	sub, err := s.Subscribe(destination, stomp.AckAuto)
	if err != nil {
		s.t.Fatal(err)
	}
	return sub
}

func (s *socket) send(destination, body string) {
	s.t.Helper()
	if err := s.Send(destination, "application/json", []byte(body)); err != nil {
		s.t.Fatal(err)
	}
}

// register waits for an operation: step 6. What it returns is where the result
// comes.
func (s *socket) register(id string) (replies, results *stomp.Subscription) {
	s.t.Helper()
	replies, results = s.subscribe("/user/topic/registration"), s.subscribe("/user/topic/authorization")
	s.send("/app/registration", `{"webSocketId":"`+id+`"}`)
	return replies, results
}

// expect returns the next message of a subscription.
func (s *socket) expect(sub *stomp.Subscription, want string) {
	s.t.Helper()
	select {
	case m, ok := <-sub.C:
		if !ok || m.Err != nil || string(m.Body) != want {
			s.t.Fatalf("got %v, want %s", m, want)
		}
	case <-time.After(patience):
		s.t.Fatalf("nothing came, want %s", want)
	}
}

// sync returns when everything sent before has been handled.
func (s *socket) sync() {
	s.t.Helper()
	select {
	case <-s.subscribe("/app/bootstrap").C:
	case <-time.After(patience):
		s.t.Fatal("no answer")
	}
}

// ended waits for the socket's end and returns why.
func (s *socket) ended(within time.Duration) error {
	s.t.Helper()
	select {
	case <-s.Done():
		return s.Err()
	case <-time.After(within):
		s.t.Fatalf("the socket is open after %v", within)
		return nil
	}
}

func registered(id string) string {
	return `{"webSocketId":"` + id + `","registrationSucceeded":true}`
}

func result(id, result string) string {
	return `{"webSocketId":"` + id + `","authResult":"` + result + `"}`
}
