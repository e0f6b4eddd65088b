package topics

import (
	"errors"
	"strings"
	"testing"
)

func mustNames(t *testing.T, p Prefixes) *Names {
	t.Helper()
	n, err := NewNames(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Below the user prefix, a SUBSCRIBE names the session's own destinations.
func TestParseSubscription(t *testing.T) {
	for _, want := range []Destination{
		{Kind: UserPrivate, Name: "/user/events", Path: "/events"},
		{Kind: UserPrivate, Name: "/user/feed/news", Path: "/feed/news"},
		{Kind: UserPrivate, Name: "/user/bob/messages/", Path: "/bob/messages/"},
		{Kind: UserPrivate, Name: "/user/100%", Path: "/100%"},
		{Kind: UserPrivate, Name: "/user/queue/x", Path: "/queue/x"},
		{Kind: UserPrivate, Name: "/user/events*", Path: "/events*", Pattern: true},
		{Kind: UserNamed, Name: "/user/bob/queue/x", Path: "/queue/x", User: "bob"},
		{Kind: UserNamed, Name: "/user/a%2Fb/topic/x", Path: "/topic/x", User: "a/b"},
		{Kind: Topic, Name: "/topic/a", Path: "/topic/a"},
	} {
		got, err := standard.ParseSubscription(want.Name)
		if err != nil || got != want {
			t.Errorf("ParseSubscription(%q) = %+v, %v; want %+v", want.Name, got, err, want)
		}
	}
	for name, want := range map[string]Error{
		"/user": ErrEmpty, "/user//": ErrEmpty, "/user/queue": ErrEmpty, "/user/bob/queue/": ErrEmpty, "/user//x": ErrUserEmpty,
		"/user/bob//queue/x": ErrUserPath, "/user/a%41/queue/x": ErrUserEscape, "/users/x": ErrPrefix,
	} {
		if d, err := standard.ParseSubscription(name); d != (Destination{}) || !errors.Is(err, want) {
			t.Errorf("ParseSubscription(%q) = %+v, %v; want %v", name, d, err, want)
		}
	}
}

func TestPrefixes(t *testing.T) {
	n := mustNames(t, Prefixes{Topic: []string{"/topic", "/events", "/topic/app"}, Queue: []string{"/queue", "/jobs/"}, App: []string{"/ws", "/app"}, User: "/secured/user"})
	for _, want := range []Destination{
		{Kind: Topic, Name: "/events/a", Path: "/events/a"},
		{Kind: Topic, Name: "/topic/app/a", Path: "/topic/app/a"},
		{Kind: Queue, Name: "/jobs/a", Path: "/jobs/a"},
		{Kind: App, Name: "/ws/echo", Path: "/echo"},
		{Kind: App, Name: "/app/echo", Path: "/echo"},
		{Kind: UserPrivate, Name: "/secured/user/events/x", Path: "/events/x"},
		{Kind: UserPrivate, Name: "/secured/user/queue/x", Path: "/queue/x"},
		{Kind: UserNamed, Name: "/secured/user/ann/feed", Path: "/feed", User: "ann"},
	} {
		got, err := n.Parse(want.Name)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", want.Name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"/user/queue/x": "destination must begin with /topic/, /events/, /topic/app/, /queue/, /jobs/, /ws/, /app/ or /secured/user/",
		"/jobs/":        ErrEmpty.Error(), "/secured/user/events/queue/x/": "",
	} {
		_, err := n.Parse(name)
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("Parse(%q): %v, want %q", name, err, want)
		}
	}
	d, _ := n.Parse("/app//echo/")
	if got := n.Canonical(d); got != "/ws/echo" {
		t.Errorf("the canonical name of %s is %s", d.Name, got)
	}
	if got, ok := n.DeadLetters("/jobs/a/b"); got != "/jobs/DLQ.a/b" || !ok {
		t.Errorf("dead letters of /jobs/a/b: %q, %v", got, ok)
	}
	if got, ok := n.DeadLettersOf("/jobs/DLQ.a/b"); got != "/jobs/a/b" || !ok {
		t.Errorf("/jobs/DLQ.a/b is of %q, %v", got, ok)
	}
	for _, queue := range []string{"/jobs/DLQ.a", "/topic/a", "/queue/DLQ.a"} {
		if got, ok := n.DeadLetters(queue); ok {
			t.Errorf("dead letters of %s: %q", queue, got)
		}
	}
	if !errors.Is(n.ValidUser("events"), ErrUserReserved) || n.ValidUser("ann") != nil || ValidUser("events") != nil {
		t.Error("names that begin a topic are reserved where they do")
	}
}

// A prefix below one of another kind, or below another application prefix,
// would let a rule for one reach the other.
func TestNestedPrefixesAreRefused(t *testing.T) {
	for _, p := range []Prefixes{
		{Topic: []string{"/topic"}, Queue: []string{"/topic/jobs"}},
		{Queue: []string{"/queue"}, Topic: []string{"/queue/news"}},
		{App: []string{"/app/v2", "/app"}},
		{App: []string{"/app", "/app/v2"}},
		{App: []string{"/topic/app"}},
		{User: "/topic/user"},
		{User: "/app/user"},
		{Topic: []string{"/topic", "/user/shared"}},
	} {
		if _, err := NewNames(p); err == nil || !strings.Contains(err.Error(), "lies below prefix") {
			t.Errorf("%+v: %v", p, err)
		}
	}
	mustNames(t, Prefixes{Topic: []string{"/topic", "/topics"}, Queue: []string{"/jobs"}, App: []string{"/app", "/application"}})
}

// The destinations of answers are what no configuration can change: a pattern
// or a rule for a topic never reaches them.
func TestReplyDestinations(t *testing.T) {
	for _, n := range []*Names{standard, mustNames(t, Prefixes{Topic: []string{"/"}})} {
		for _, name := range []string{"/temp-queue/a", "/temp-queue/a/b", "/temp-queue/a*?", "/temp-queue//a/"} {
			if d, err := n.ParseSubscription(name); err != nil || d != (Destination{Kind: Reply, Name: name, Path: name}) {
				t.Errorf("ParseSubscription(%q) = %+v, %v", name, d, err)
			}
			if d, err := n.Parse(name); !errors.Is(err, ErrTempQueue) {
				t.Errorf("Parse(%q) = %+v, %v", name, d, err)
			}
		}
		const answer = "/reply-queue/x*"
		if d, err := n.Parse(answer); err != nil || d != (Destination{Kind: Reply, Name: answer, Path: answer}) {
			t.Errorf("Parse(%q) = %+v, %v", answer, d, err)
		}
		if d, err := n.ParseSubscription(answer); !errors.Is(err, ErrReplyQueue) {
			t.Errorf("ParseSubscription(%q) = %+v, %v", answer, d, err)
		}
		if _, err := n.ParseSubscription("/temp-queue/"); !errors.Is(err, ErrEmpty) {
			t.Errorf("/temp-queue/: %v", err)
		}
	}
	for _, p := range []Prefixes{{Topic: []string{"/temp-queue"}}, {Queue: []string{"/reply-queue/x"}}, {User: "/reply-queue"}} {
		if _, err := NewNames(p); err == nil || !strings.Contains(err.Error(), "is where clients get answers") {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// With "/", every unmatched destination is a topic.
func TestPrefixOfEverything(t *testing.T) {
	n := mustNames(t, Prefixes{Topic: []string{"/topic", "/"}})
	for name, kind := range map[string]Kind{
		"/chat": Topic, "/chat/rooms/1": Topic, "/exchange/amq.topic/x": Topic, "/**": Topic, "/topic/a": Topic,
		"/queue/a": Queue, "/app/a": App, "/user/events": UserPrivate, "/users/x": Topic,
	} {
		d, err := n.ParseSubscription(name)
		if err != nil || d.Kind != kind {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	for _, name := range []string{"", "/", "//", "//chat", "chat", "/topic", "/queue/"} {
		if d, err := n.Parse(name); err == nil {
			t.Errorf("%q: %+v", name, d)
		}
	}
}

func TestPrefixesAreChecked(t *testing.T) {
	for want, p := range map[string]Prefixes{
		`prefix "topic" must begin with /`:    {Topic: []string{"topic"}},
		`prefix "" must begin with /`:         {Queue: []string{"/"}},
		`prefix "/a//b" must begin with /`:    {App: []string{"/a//b"}},
		`prefix "/a*" must not contain`:       {Topic: []string{"/a*"}},
		`prefix "/a%2F" must not contain`:     {User: "/a%2F"},
		`prefix "/queue" is given twice`:      {Topic: []string{"/queue"}},
		`prefix "/app" is given twice`:        {App: []string{"/app", "/app/"}},
		`prefix "/a\n": destination contains`: {Topic: []string{"/a\n"}},
		`is longer than 64 bytes`:             {Topic: []string{"/" + strings.Repeat("a", 64)}},
	} {
		if _, err := NewNames(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}
