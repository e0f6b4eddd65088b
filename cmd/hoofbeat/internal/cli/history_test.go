package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

func historyOptions() broker.Options {
	return broker.Options{History: []broker.History{{Destination: "/topic/prices/**", Messages: 1}, {Destination: "/topic/chat/*", Messages: 3}}}
}

func TestHistoryLs(t *testing.T) {
	b, env := withAdmin(t, historyOptions())
	put(t, b, "/topic/chat/hostile <b> %s€", "1", "2", "3", "4")
	put(t, b, "/topic/prices/eu", "1", "2")
	got := start(t, nil, env, "history", "ls").wait(t, exitOK).out.String()
	for i, want := range []string{
		`DESTINATION +MESSAGES +BYTES +OLDEST +EPOCH +OFFSETS +ENTRY +KIND`,
		`/topic/chat/hostile <b> %s€ +3 +\d+ +\d+s +[a-z2-7]{8} +2-4 +/topic/chat/\* +history`,
		`/topic/prices/eu +1 +\d+ +\d+s +[a-z2-7]{8} +2 +/topic/prices/\*\* +last value`,
	} {
		lines := strings.Split(got, "\n")
		if len(lines) != 4 || !regexp.MustCompile("^"+want+"$").MatchString(lines[i]) {
			t.Fatalf("line %d of\n%s does not match %s", i, got, want)
		}
	}
	for args, want := range map[string]string{
		"--json --prefix /topic/p":              "/topic/prices/eu",
		"--json --entry /topic/prices/**":       "/topic/prices/eu",
		"--json --sort messages":                "/topic/chat/hostile <b> %s€",
		"--json --sort messages --order asc":    "/topic/prices/eu",
		"--json --sort destination --order asc": "/topic/chat/hostile <b> %s€",
	} {
		out := start(t, nil, env, append([]string{"history", "list"}, strings.Fields(args)...)...).wait(t, exitOK).out.String()
		first, _, _ := strings.Cut(out, "\n")
		var h struct{ Destination string }
		if err := json.Unmarshal([]byte(first), &h); err != nil || h.Destination != want {
			t.Errorf("%s prints %s", args, out)
		}
	}
	contains(t, "ls", start(t, nil, env, "history", "ls", "--sort", "age").wait(t, exitFailure).err.String(), "must be one of destination, messages")
	start(t, nil, append(env[:1:1], "HOOFBEAT_ADMIN_TOKEN=wrong"), "history", "ls").wait(t, exitRefused)
	contains(t, "history", start(t, nil, nil, "history").wait(t, exitOK).out.String(), "hoofbeat history rm /topic/prices/eu")
}

// More than one page is printed.
func TestHistoryLsOfMany(t *testing.T) {
	b, env := withAdmin(t, historyOptions())
	for i := range 2100 {
		put(t, b, fmt.Sprintf("/topic/prices/%04d", i), "1")
	}
	lines := strings.Split(start(t, nil, env, "history", "ls").wait(t, exitOK).out.String(), "\n")
	if len(lines) != 2102 || !strings.HasPrefix(lines[2100], "/topic/prices/2099 ") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-2])
	}
}

func TestHistoryRm(t *testing.T) {
	b, env := withAdmin(t, historyOptions())
	put(t, b, "/topic/chat/lobby", "1", "2")
	rm := func(code int, want string, args ...string) {
		t.Helper()
		c := start(t, nil, env, append([]string{"history", "rm"}, args...)...).wait(t, code)
		contains(t, fmt.Sprint(args), c.out.String()+c.err.String(), want)
	}
	rm(exitUsage, "nothing was removed: want --yes", "/topic/chat/lobby")
	rm(exitUsage, "want a whole name", "--yes", "..")
	rm(exitUsage, "See hoofbeat history rm --help")
	rm(exitUsage, "See hoofbeat history rm --help", "--yes", "/topic/a", "/topic/b")
	rm(exitFailure, "404 Not Found: no history of this destination: it has no messages", "--yes", "/topic/chat/none")
	rm(exitFailure, "it belongs to no entry", "--yes", "/topic/none")
	rm(exitFailure, "want one topic", "--yes", "/topic/chat/*")
	if n := b.Stats().HistoryMessages; n != 2 {
		t.Fatalf("%d messages are left", n)
	}
	rm(exitOK, "2 removed\n", "--yes", "/topic/chat/lobby")
	if n := b.Stats().HistoryMessages; n != 0 {
		t.Fatalf("%d messages are left", n)
	}
	rm(exitFailure, "it has no messages", "--yes", "/topic/chat/lobby")
}
