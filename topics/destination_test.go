package topics

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func TestParse(t *testing.T) {
	for _, want := range []Destination{
		{Kind: Topic, Name: "/topic/a", Path: "/topic/a"},
		{Kind: Topic, Name: "/topic/a/b.c-d e", Path: "/topic/a/b.c-d e"},
		{Kind: Topic, Name: "/topic/a/", Path: "/topic/a/"},
		{Kind: Topic, Name: "/topic//a", Path: "/topic//a"},
		{Kind: Topic, Name: "/topic/{id}/ü%41", Path: "/topic/{id}/ü%41"},
		{Kind: Topic, Name: "/topic/*", Path: "/topic/*", Pattern: true},
		{Kind: Topic, Name: "/topic/a?", Path: "/topic/a?", Pattern: true},
		{Kind: Topic, Name: "/topic/user/queue/x", Path: "/topic/user/queue/x"},
		{Kind: Queue, Name: "/queue/a", Path: "/queue/a"},
		{Kind: Queue, Name: "/queue/**", Path: "/queue/**", Pattern: true},
		{Kind: App, Name: "/app/echo", Path: "/echo"},
		{Kind: App, Name: "/app/topic/a", Path: "/topic/a"},
		{Kind: App, Name: "/app/", Path: "/"},
		{Kind: App, Name: "/app", Path: "/"},
		{Kind: UserPrivate, Name: "/user/queue/x", Path: "/queue/x"},
		{Kind: UserPrivate, Name: "/user/topic/x/y", Path: "/topic/x/y"},
		{Kind: UserPrivate, Name: "/user/queue/*", Path: "/queue/*", Pattern: true},
		{Kind: UserPrivate, Name: "/user/topic/queue/x", Path: "/topic/queue/x"},
		{Kind: UserNamed, Name: "/user/bob/queue/x", Path: "/queue/x", User: "bob"},
		{Kind: UserNamed, Name: "/user/topics/topic/x", Path: "/topic/x", User: "topics"},
		{Kind: UserNamed, Name: "/user/a%2Fb%2fc/queue/x", Path: "/queue/x", User: "a/b/c"},
		{Kind: UserNamed, Name: "/user/100%25/queue/x", Path: "/queue/x", User: "100%"},
		{Kind: UserNamed, Name: "/user/a%252Fb/queue/x", Path: "/queue/x", User: "a%2Fb"},
		{Kind: UserNamed, Name: "/user/who?*/queue/x", Path: "/queue/x", User: "who?*"},
		{Kind: UserNamed, Name: "/user/bob/app/x", Path: "/app/x", User: "bob"},
		{Kind: UserNamed, Name: "/user/bob/messages/1", Path: "/messages/1", User: "bob"},
		{Kind: UserNamed, Name: "/user/bob/queue/?", Path: "/queue/?", User: "bob", Pattern: true},
	} {
		got, err := Parse(want.Name)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", want.Name, got, err, want)
		}
		if c := got.Clone(); c != want || unsafe.StringData(c.Name) == unsafe.StringData(got.Name) || unsafe.StringData(c.Path) == unsafe.StringData(got.Path) {
			t.Errorf("the clone of %+v is %+v, or shares memory with it", got, c)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		want Error
	}{
		{"", ErrPrefix},
		{"/", ErrPrefix},
		{"//topic/a", ErrPrefix},
		{"topic/a", ErrPrefix},
		{"/topics/a", ErrPrefix},
		{"/Topic/a", ErrPrefix},
		{" /topic/a", ErrPrefix},
		{"/application/a", ErrPrefix},
		{"/*/a", ErrPrefix},
		{"/**", ErrPrefix},
		{"/temp-queue/a", ErrTempQueue},
		{"/temp-queue", ErrTempQueue},
		{"/temp-queues/a", ErrPrefix},
		{"/reply-queue", ErrEmpty},
		{"/reply-queue//", ErrEmpty},
		{"/topic", ErrEmpty},
		{"/topic/", ErrEmpty},
		{"/topic//", ErrEmpty},
		{"/queue", ErrEmpty},
		{"/queue/", ErrEmpty},
		{"/user", ErrEmpty},
		{"/user/", ErrEmpty},
		{"/user///", ErrEmpty},
		{"/user/queue", ErrEmpty},
		{"/user/queue/", ErrEmpty},
		{"/user/topic//", ErrEmpty},
		{"/user/bob/queue", ErrEmpty},
		{"/user/bob/queue/", ErrEmpty},
		{"/user/bob", ErrUserPath},
		{"/user/bob/", ErrUserPath},
		{"/user/bob//queue/x", ErrUserPath},
		{"/user//queue/x", ErrUserEmpty},
		{"/user/a%/queue/x", ErrUserEscape},
		{"/user/a%2/queue/x", ErrUserEscape},
		{"/user/a%41/queue/x", ErrUserEscape},
		{"/user/a%0A/queue/x", ErrUserEscape},
		{"/user/%00/queue/x", ErrUserEscape},
		{"/user/" + strings.Repeat("u", MaxUser+1) + "/queue/x", ErrUserTooLong},
		{"/topic/a\r", ErrControl},
		{"/topic/a\nb", ErrControl},
		{"/topic/\x00", ErrControl},
		{"/topic/a\tb", ErrControl},
		{"/topic/\x7f", ErrControl},
		{"/user/a\nb/queue/x", ErrControl},
		{"/topic/\xff", ErrEncoding},
		{"/topic/" + strings.Repeat("a", MaxLength), ErrTooLong},
		{"/topic" + strings.Repeat("/a", MaxLevels), ErrTooDeep},
		{"/topic/?" + strings.Repeat("ü", MaxMasked), ErrMaskTooLong},
	} {
		got, err := Parse(c.name)
		if got != (Destination{}) || !errors.Is(err, c.want) {
			t.Errorf("Parse(%q) = %+v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestParseLimitsAreInclusive(t *testing.T) {
	for _, name := range []string{
		"/topic/" + strings.Repeat("a", MaxLength-len("/topic/")),
		"/topic" + strings.Repeat("/a", MaxLevels-1),
		"/topic/?" + strings.Repeat("ü", MaxMasked-1),
		"/topic/*" + strings.Repeat("ü", 2*MaxMasked) + "/?",
		UserDestination(strings.Repeat("?", MaxUser), "/queue/x"),
		UserDestination(strings.Repeat("/", MaxUser), "/queue/x"),
	} {
		if _, err := Parse(name); err != nil {
			t.Errorf("Parse of %d bytes: %v", len(name), err)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for err, limit := range map[Error]int{ErrTooLong: MaxLength, ErrTooDeep: MaxLevels, ErrMaskTooLong: MaxMasked, ErrUserTooLong: MaxUser} {
		if !strings.Contains(err.Error(), strconv.Itoa(limit)) {
			t.Errorf("%q does not name its limit, %d", err, limit)
		}
	}
}

func TestKindString(t *testing.T) {
	want := []string{"none", "topic", "queue", "app", "user-private", "user-named", "reply", "none"}
	for k, name := range want {
		if got := Kind(k).String(); got != name {
			t.Errorf("Kind(%d) = %q, want %q", k, got, name)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, name := range []string{"/topic/a/b", "/app/echo", "/user/queue/x", "/user/bob/queue/x"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = Parse(name) }); n != 0 {
			t.Errorf("Parse(%q): %v allocations", name, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/topic/a", "/queue/*", "/app", "/user/queue/x", "/user/a%2Fb/topic/**", "/user/%25/queue/x", "/topic/\r\n", "/reply-queue/a*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d, err := Parse(name)
		if err != nil {
			var fault Error
			if d != (Destination{}) || !errors.As(err, &fault) {
				t.Fatalf("Parse(%q) = %+v, %#v", name, d, err)
			}
			return
		}
		if d.Name != name || d.Path == "" || d.Path[0] != '/' || len(name) > MaxLength || strings.ContainsAny(name, "\r\n\x00") {
			t.Fatalf("Parse(%q) = %+v", name, d)
		}
		canonical := ""
		switch d.Kind {
		case Topic, Queue, Reply:
			canonical = d.Path
		case App:
			canonical = "/app" + d.Path
		case UserPrivate:
			canonical = "/user" + d.Path
		case UserNamed:
			if err := ValidUser(d.User); err != nil {
				t.Fatalf("Parse(%q) lets the user %q pass: %v", name, d.User, err)
			}
			canonical = UserDestination(d.User, d.Path)
		}
		again, err := Parse(canonical)
		again.Name = name
		if err != nil || again != d {
			t.Fatalf("Parse(%q) = %+v, but %q = %+v, %v", name, d, canonical, again, err)
		}
	})
}
