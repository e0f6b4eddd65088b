package admin

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestSessions(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	var ids []string
	for i, login := range []string{"bob", "ann", "ann", ""} {
		c := brokertest.Connect(t, s.b, "login", login)
		for j := range (i * 3) % 4 { // 0, 3, 2, 1
			c.Subscribe(t, fmt.Sprint(j), fmt.Sprint("/topic/", j))
		}
		ids = append(ids, c.Session)
	}
	list := func(q string) page[session] {
		t.Helper()
		var p page[session]
		s.do(t, "GET", "/api/v1/sessions"+q, "").json(t, http.StatusOK, &p)
		return p
	}
	order := func(p page[session]) string {
		var out []string
		for _, x := range p.Items {
			out = append(out, fmt.Sprintf("%s%d", x.User, x.Subscriptions))
		}
		return strings.Join(out, " ")
	}
	all := list("")
	if all.Total != 4 || all.Offset != 0 || all.Limit != 100 || len(all.Items) != 4 {
		t.Fatalf("%+v", all)
	}
	for _, x := range all.Items {
		if !slices.Contains(ids, x.ID) || x.Transport != "transport" || x.Version != "1.2" || time.Since(x.Opened) > time.Minute || x.Pending != 0 {
			t.Errorf("session %+v", x)
		}
	}
	if !slices.IsSortedFunc(all.Items, func(x, y session) int { return x.Opened.Compare(y.Opened) }) {
		t.Error("not sorted by the time of opening")
	}
	for q, want := range map[string]string{
		"?sort=subscriptions":                    "ann3 ann2 1 bob0",
		"?sort=subscriptions&order=asc":          "bob0 1 ann2 ann3",
		"?sort=subscriptions&limit=1":            "ann3",
		"?sort=subscriptions&limit=2&offset=1":   "ann2 1",
		"?sort=subscriptions&offset=3":           "bob0",
		"?sort=subscriptions&offset=4":           "",
		"?sort=subscriptions&offset=1073741824":  "",
		"?user=ann&sort=subscriptions&order=asc": "ann2 ann3",
		"?user=":                                 "1",
		"?user=nobody":                           "",
	} {
		p := list(q)
		total := map[bool]int{true: 4, false: len(strings.Fields(want))}[!strings.Contains(q, "user=")]
		if got := order(p); got != want || p.Total != total || p.Items == nil {
			t.Errorf("%s: %q of %d, want %q of %d", q, got, p.Total, want, total)
		}
	}
	byUser := list("?sort=user").Items
	if !slices.IsSortedFunc(byUser, func(x, y session) int { return strings.Compare(x.User, y.User) }) {
		t.Errorf("by user: %+v", byUser)
	}
	// Pages are consistent, even where only the id distinguishes sessions.
	var paged []string
	for i := range 4 {
		paged = append(paged, list(fmt.Sprint("?sort=pending&limit=1&offset=", i)).Items[0].ID)
	}
	slices.Sort(paged)
	slices.Sort(ids)
	if !slices.Equal(paged, ids) {
		t.Errorf("pages have %v, want %v", paged, ids)
	}
	for q, detail := range map[string]string{
		"?limit=0":              `"limit" must be a number from 1 to 1000`,
		"?limit=1001":           `"limit" must be`,
		"?limit=":               `"limit" must be`,
		"?offset=-1":            `"offset" must be`,
		"?sort=name":            `"sort" must be one of opened, user, pending, unacknowledged, subscriptions`,
		"?order=down":           `"order" must be one of asc, desc`,
		"?usr=ann":              `no parameter "usr", only user, sort, order, offset, limit`,
		"?limit=1&limit=2":      `"limit" is given twice`,
		"?user=%zz":             "malformed",
		"?user=a;b":             "malformed",
		"?prefix=a&sort=opened": `no parameter "prefix"`,
	} {
		s.do(t, "GET", "/api/v1/sessions"+q, "").problem(t, http.StatusBadRequest, detail)
	}
}

func TestSessionsOfAUser(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	const odd = "a/b %c?"
	var want []string
	for _, login := range []string{"ann", odd, "", odd} {
		c := brokertest.Connect(t, s.b, "login", login)
		if login == odd {
			want = append(want, c.Session)
		}
	}
	path := "/api/v1/users/" + escape(odd) + "/sessions"
	var p page[session]
	s.do(t, "GET", path+"?sort=opened&order=desc", "").json(t, http.StatusOK, &p)
	if p.Total != 2 || len(p.Items) != 2 || p.Items[0].ID != want[1] || p.Items[1].ID != want[0] || p.Items[0].User != odd {
		t.Errorf("%+v, want %v, the youngest first", p, want)
	}
	s.do(t, "GET", path+"?limit=1&offset=1", "").json(t, http.StatusOK, &p)
	if p.Total != 2 || len(p.Items) != 1 {
		t.Errorf("%+v", p)
	}
	s.do(t, "GET", "/api/v1/users/nobody/sessions", "").json(t, http.StatusOK, &p)
	if p.Total != 0 || p.Items == nil {
		t.Errorf("nobody: %+v", p)
	}
	s.do(t, "GET", path+"?user=ann", "").problem(t, http.StatusBadRequest, `no parameter "user", only sort, order, offset, limit`)
	s.do(t, "GET", path+"?sort=name", "").problem(t, http.StatusBadRequest, `"sort" must be one of`)
	s.do(t, "GET", "/api/v1/users/%20/sessions", "").problem(t, http.StatusBadRequest, "user name is blank")
	s.do(t, "GET", "/api/v1/users/a%0Ab/sessions", "").problem(t, http.StatusBadRequest, "user name")
}

func TestSession(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	brokertest.Connect(t, s.b, "login", "bob")
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/x")
	path := "/api/v1/sessions/" + c.Session
	var got session
	s.do(t, "GET", path, "").json(t, http.StatusOK, &got)
	if got.ID != c.Session || got.User != "ann" || got.Subscriptions != 1 {
		t.Errorf("%+v", got)
	}
	s.do(t, "GET", path+"?verbose", "").problem(t, http.StatusBadRequest, "takes no parameters")
	c.Close()
	brokertest.Eventually(t, "it is gone", func() bool { return s.b.Stats().Sessions == 1 })
	s.do(t, "GET", path, "").problem(t, http.StatusNotFound, "no session")
}

// Sorting finds a client that does not acknowledge by its unacknowledged
// messages, and one that does not read by its pending bytes.
func TestSessionsByLoad(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	first := func(sort string) session {
		t.Helper()
		var p page[session]
		s.do(t, "GET", "/api/v1/sessions?limit=1&sort="+sort, "").json(t, http.StatusOK, &p)
		return p.Items[0]
	}
	brokertest.Connect(t, s.b)
	lazy := brokertest.Connect(t, s.b)
	lazy.Subscribe(t, "1", "/queue/x", "ack", "client")
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`).json(t, http.StatusAccepted, &published{})
	lazy.Expect(t, "MESSAGE")
	if got := first("unacknowledged"); got.ID != lazy.Session || got.Unacknowledged != 1 {
		t.Errorf("%+v", got)
	}

	stuck := &stuckTransport{closed: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.b.Serve(t.Context(), stuck, broker.Admission{}) })
	defer testkit.Wait(t, &wg)
	defer stuck.Close(0, "")
	brokertest.Eventually(t, "it is connected as dan", func() bool {
		return s.b.Stats().Users == 1
	})
	if got := first("pending"); got.User != "dan" || got.Pending == 0 {
		t.Errorf("%+v", got)
	}
}

// stuckTransport sends CONNECT and accepts nothing.
type stuckTransport struct {
	said   bool
	once   sync.Once
	closed chan struct{}
}

func (s *stuckTransport) Receive() ([]byte, error) {
	if !s.said {
		s.said = true
		return []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\nlogin:dan\n\n\x00"), nil
	}
	<-s.closed
	return nil, io.EOF
}

func (s *stuckTransport) Send([][]byte) error {
	<-s.closed
	return io.ErrClosedPipe
}

func (s *stuckTransport) Close(int, string) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func TestUsers(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for _, login := range []string{"bob", "ann", "ann", "", "<b>&"} {
		brokertest.Connect(t, s.b, "login", login)
	}
	for q, want := range map[string]string{
		"":                   "3 [{<b>& 1} {ann 2} {bob 1}]",
		"?prefix=b":          "1 [{bob 1}]",
		"?limit=1&offset=1":  "3 [{ann 2}]",
		"?prefix=x":          "0 []",
		"?prefix=%3Cb%3E%26": "1 [{<b>& 1}]",
	} {
		var p page[user]
		s.do(t, "GET", "/api/v1/users"+q, "").json(t, http.StatusOK, &p)
		if got := fmt.Sprint(p.Total, " ", p.Items); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	s.do(t, "GET", "/api/v1/users?user=ann", "").problem(t, http.StatusBadRequest, `no parameter "user"`)
}

func TestDestinations(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	c := brokertest.Connect(t, s.b)
	c.Subscribe(t, "1", "/topic/a/*")
	c.Subscribe(t, "2", "/topic/b")
	c.Subscribe(t, "3", "/topic/b")
	c.Subscribe(t, "4", "/queue/q", "ack", "client-individual")
	for _, q := range []string{"/queue/q", "/queue/other", "/queue/other"} {
		s.do(t, "POST", "/api/v1/messages", `{"destination":"`+q+`","body":"x"}`).json(t, http.StatusAccepted, &published{})
	}
	c.Expect(t, "MESSAGE")
	get := func(q string) (p page[destination]) {
		s.do(t, "GET", "/api/v1/destinations"+q, "").json(t, http.StatusOK, &p)
		return p
	}
	p := get("?prefix=/topic/")
	if got := fmt.Sprint(p.Total, " ", p.Items); got != "2 [{/topic/a/* 1 0 0 0} {/topic/b 2 0 0 0}]" {
		t.Error(got)
	}
	p = get("?prefix=/queue/")
	if p.Total != 2 || p.Items[0].Name != "/queue/other" || p.Items[0].Messages != 2 || p.Items[0].Bytes == 0 ||
		p.Items[1].Name != "/queue/q" || p.Items[1].Subscriptions != 1 || p.Items[1].Messages != 1 || p.Items[1].Unacknowledged != 1 {
		t.Errorf("%+v", p)
	}
	if p = get("?limit=1"); p.Total != 4 || len(p.Items) != 1 || p.Items[0].Name != "/queue/other" {
		t.Errorf("%+v", p)
	}
}

func TestStats(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	c := brokertest.Connect(t, s.b, "login", "ann")
	c.Subscribe(t, "1", "/topic/x")
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/topic/x"}`).json(t, http.StatusAccepted, &published{})
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`).json(t, http.StatusAccepted, &published{})
	c.Expect(t, "MESSAGE")
	gone := brokertest.Connect(t, s.b)
	gone.Close()
	brokertest.Eventually(t, "the other session is gone", func() bool { return s.b.Stats().Sockets == 1 })
	var got stats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &got)
	want := stats(s.b.Stats())
	if !got.Started.Equal(want.Started) {
		t.Errorf("started %v, want %v", got.Started, want.Started)
	}
	got.Started, want.Started = time.Time{}, time.Time{}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got.Sessions != 1 || got.Users != 1 || got.QueueMessages != 1 || got.Published != 2 || got.Delivered != 1 || got.Opened != 2 || len(got.Ended) != 1 {
		t.Errorf("%+v", got)
	}
	s.do(t, "GET", "/api/v1/stats?verbose", "").problem(t, http.StatusBadRequest, `takes no parameters, not "verbose"`)
}

func TestDisconnect(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for q, want := range map[string]string{
		"":                                      "session ended by the operator",
		"?reason=back%20in%205%20min:%20%C3%BC": "back in 5 min: ü",
	} {
		c := brokertest.Connect(t, s.b)
		path := "/api/v1/sessions/" + c.Session
		if a := s.do(t, "DELETE", path+q, ""); a.status != http.StatusNoContent || len(a.body) != 0 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if got := c.Expect(t, "ERROR").Get("message"); got != want {
			t.Errorf("the client is told %q, want %q", got, want)
		}
		if err := c.Ended(t); err == nil || c.CloseCode() != 1008 {
			t.Errorf("ended with %v and %d", err, c.CloseCode())
		}
		s.do(t, "DELETE", path, "").problem(t, http.StatusNotFound, "no session")
	}
	c := brokertest.Connect(t, s.b)
	for q, detail := range map[string]string{
		"?reason=a%0Ab":                       "one line",
		"?reason=%FF":                         "one line",
		"?reason=" + strings.Repeat("x", 201): "longer than 200 bytes",
		"?reason=a&reason=b":                  `"reason" is given twice`,
		"?force=1":                            `no parameter "force"`,
	} {
		s.do(t, "DELETE", "/api/v1/sessions/"+c.Session+q, "").problem(t, http.StatusBadRequest, detail)
	}
	c.Sync(t)
}
