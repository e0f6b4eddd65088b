//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// storeStats is the store in the statistics.
type storeStats struct {
	Status                 string
	Stored, Limit, Reserve int64
	DiskFree               int64 `json:"disk_free"`
}

func (s *server) storeStats(t *testing.T) *storeStats {
	t.Helper()
	var st struct{ Store *storeStats }
	if code := s.call(t, "GET", "/api/v1/stats", "", &st); code != http.StatusOK {
		t.Fatalf("stats: HTTP %d", code)
	}
	return st.Store
}

// rss returns the resident memory of a process in KiB. It skips the test where
// that is not known.
func rss(t *testing.T, pid int) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc")
	}
	for line := range strings.Lines(readFile(t, "/proc/"+strconv.Itoa(pid), "status")) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// descriptors returns how many sockets of a process listen, and its open files.
func descriptors(t *testing.T, pid int) (listening int, files []string) {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(pid)
	inodes := make(map[string]bool) // of sockets that listen
	for _, name := range []string{"tcp", "tcp6"} {
		for line := range strings.Lines(readFile(t, proc, "net", name)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	links, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		switch to, err := os.Readlink(link); {
		case err != nil: // a connection that has ended
		case inodes[to]:
			listening++
		case strings.HasPrefix(to, "/sys/"), strings.HasPrefix(to, "/dev/"): // of the Go runtime and the test
		case strings.HasPrefix(to, "/"):
			files = append(files, to)
		}
	}
	return listening, files
}

// stacks returns the stacks of all goroutines.
func (s *server) stacks(t *testing.T) string {
	t.Helper()
	s.Signal(t, syscall.SIGUSR1)
	text, _ := s.Logged(t, "goroutines", 1)["stacks"].(string)
	return text
}

// without store.dir nothing of the store runs: no goroutine, no listener,
// no file, nothing in the statistics.
func TestX23WithoutAStoreNothingOfItRuns(t *testing.T) {
	without := serve(t, nil)
	with := serve(t, nil, "--store-dir", filepath.Join(t.TempDir(), "store"))
	less, more := rss(t, without.Pid()), rss(t, with.Pid())
	if without.storeStats(t) != nil {
		t.Error("there is a store in the statistics")
	}
	for name, s := range map[string]*server{"without": without, "with": with} {
		sockets, files := descriptors(t, s.Pid())
		if sockets != len(s.Addresses) {
			t.Errorf("%s a store %d sockets listen, want %v", name, sockets, s.Addresses)
		}
		if s == without && len(files) > 0 {
			t.Errorf("without a store these are open: %v", files)
		}
		if s == with && len(files) == 0 {
			t.Error("with a store no file is open, so nothing is proven")
		}
	}
	if text := without.stacks(t); strings.Contains(text, "nats") || strings.Contains(text, "embedded") {
		t.Errorf("goroutines of the store run:\n%s", text)
	}
	engine := with.stacks(t)
	if !strings.Contains(engine, "nats-server") {
		t.Errorf("no goroutine of the engine runs:\n%s", engine)
	}
	t.Logf("%d KiB without a store, %d KiB with one; %d goroutines with one", less, more, strings.Count(engine, "goroutine "))
	if more <= less {
		t.Errorf("%d KiB without a store, and %d KiB with one", less, more)
	}
	if more > 48<<10 {
		t.Errorf("an idle broker with a store takes %d KiB", more)
	}
}

// The store is opened at the start, shown in the statistics, and there after a
// kill -9. Nobody else can open it meanwhile, whose exit code tells a
// supervisor to try again.
func TestStoreOfTheBinary(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := serveWith(t, process.Options{Restartable: true, Args: []string{"--store-dir", dir, "--store-disk", "4GiB", "--store-reserve", "4MiB"}})
	st := s.storeStats(t)
	if st == nil || st.Status != "ok" || st.Limit != 4<<30 || st.Reserve != 4<<20 || st.DiskFree <= 0 {
		t.Errorf("%+v", st)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if status, body := get(t, s.web()+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: HTTP %d %s", status, body)
	}
	p := run(t, 1, []string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=off"}, "serve", "--store-dir", dir)
	if text := p.Stderr(); !strings.Contains(text, "hoofbeat: command line: store.dir: "+dir+" is used by another process ("+strconv.Itoa(s.Pid())+")") {
		t.Errorf("the second process says %q", text)
	}
	// What is checked is not opened: the broker that uses it may be running.
	check := run(t, 0, nil, "config", "check", "--store-dir", dir, "--store-disk", "2GiB")
	if text := check.Stdout(); !strings.Contains(text, "store.disk: of 2GiB, 256MiB for waits, tickets and logins, an eighth of store.disk\nstore.disk: of 2GiB, 1360MiB for queues.total_bytes\nstore.disk: of 2GiB, 400MiB for queues.delayed_bytes\nstore.disk: of 2GiB, 2016MiB in all\n") {
		t.Errorf("config check says %q", text)
	}
	check = run(t, 2, nil, "config", "check", "--store-dir", dir, "--store-disk", "1GiB")
	if text := check.Stderr(); !strings.Contains(text, "store.disk: 1GiB is less than the 1888MiB that must fit into it: 128MiB for waits, tickets and logins, an eighth of store.disk + 1360MiB for queues.total_bytes + 400MiB for queues.delayed_bytes. Set store.disk to 2012MiB or more, or lower the other keys") {
		t.Errorf("a disk that is too small: %q", text)
	}
	run(t, 0, nil, "config", "check", "--store-dir", dir, "--store-disk", "2012MiB") // what it asks for
	s.Kill(t)
	again := &server{Server: s.Restart(t)}
	again.admin = again.Admin
	if st := again.storeStats(t); st == nil || st.Status != "ok" {
		t.Errorf("after kill -9: %+v", st)
	}
	again.Signal(t, syscall.SIGTERM)
	again.Exit(t, 0)
	if text := again.Stderr(); strings.Contains(text, `"level":"ERROR"`) {
		t.Errorf("log\n%s", text)
	}
}

func TestStoreThatCannotBeOpened(t *testing.T) {
	const key, other = "this is the key of the directory", "this is another key, not its own"
	dir := filepath.Join(t.TempDir(), "store")
	s := serve(t, []string{"HOOFBEAT_STORE_KEY=" + key}, "--store-dir", dir)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	for _, c := range []struct {
		code int
		env  []string
		dir  string
		want string
	}{
		{2, nil, dir, "store.key: the directory is encrypted, but no key is given"},
		{2, []string{"HOOFBEAT_STORE_KEY=" + other}, dir, "hoofbeat: environment: store.key: the directory is encrypted with another key"},
		{2, []string{"HOOFBEAT_STORE_KEY=short"}, dir, "hoofbeat: environment: store.key: has 5 characters, want 32 or more"},
		{1, nil, "/nonexistent/store", "hoofbeat: command line: store.dir: /nonexistent/store does not exist, and neither does the directory /nonexistent: create it"},
	} {
		p := run(t, c.code, append(c.env, "HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=off"), "serve", "--store-dir", c.dir)
		if text := p.Stderr(); !strings.Contains(text, c.want) || strings.Contains(text, key) || strings.Contains(text, other) {
			t.Errorf("%v: %q, want %q", c.env, text, c.want)
		}
	}
	p := run(t, 0, nil, "config", "check", "--store-sync", "10s")
	if text := p.Stderr(); !strings.Contains(text, "store.sync has no effect, because store.dir is not set") {
		t.Errorf("without a directory: %q", text)
	}
}

// A reload changes the reserve. The rest needs a restart.
func TestReloadChangesTheReserveOfTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	conf := write(t, "hoofbeat.yaml", "store: {dir: "+dir+", reserve: 8MiB}\n")
	s := serve(t, nil, "-c", conf)
	if err := os.WriteFile(conf, []byte("store: {dir: "+dir+", reserve: 900TiB, disk: 2GiB, sync: 10s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	if changed := s.Logged(t, "reloaded", 1)["changed"]; changed != "store.reserve" {
		t.Errorf("changed %q", changed)
	}
	if keys := s.Logged(t, "reload: some changes need a restart", 1)["keys"]; keys != "store.sync store.disk" {
		t.Errorf("a restart is asked for because of %q", keys)
	}
	brokertest.Eventually(t, "the disk has too little room", func() bool {
		st := s.storeStats(t)
		return st.Reserve == 900<<40 && st.Limit == 10<<30 && strings.HasPrefix(st.Status, "store-full: the disk of the store has ") && strings.HasSuffix(st.Status, " left: store.reserve is 900 TiB")
	})
}

// Whatever a full store refuses, the answer names the limit, its value and its
// key.
func TestAFullStoreNamesItsLimit(t *testing.T) {
	conf := write(t, "hoofbeat.yaml", "store: {dir: "+filepath.Join(t.TempDir(), "store")+", reserve: 900TiB}\nauth: {tickets: {enabled: true}}\n"+
		"history: [{destination: /topic/kept}]\ndurable: [{destination: /topic/durable}]\nqueues: {total_bytes: 100MiB, delayed_bytes: 10MiB}\n")
	s := serve(t, nil, "-c", conf)
	for name, a := range map[string]struct {
		method, path, body string
		status             int
	}{
		"a ticket":          {"POST", "tickets", `{"user":"ann"}`, http.StatusServiceUnavailable},
		"an operation":      {"PUT", "operations/x", `{}`, http.StatusServiceUnavailable},
		"a queue":           {"POST", "messages", `{"destination":"/queue/a","body":"x"}`, http.StatusTooManyRequests},
		"a delayed message": {"POST", "messages", `{"destination":"/queue/a","body":"x","headers":{"delay":"10000"}}`, http.StatusTooManyRequests},
		"a history":         {"POST", "messages", `{"destination":"/topic/kept","body":"x"}`, http.StatusTooManyRequests},
	} {
		var answer struct{ Detail string }
		status := s.call(t, a.method, "/api/v1/"+a.path, a.body, &answer)
		if status != a.status || !strings.Contains(answer.Detail, "store-full: the disk of the store has ") || !strings.HasSuffix(answer.Detail, " left: store.reserve is 900 TiB") {
			t.Errorf("%s: HTTP %d %q", name, status, answer.Detail)
		}
	}
	for _, text := range []string{
		"the store takes nothing new until there is room",
		"the store of operations has no room for another one: it is not announced, and no page can register for it",
	} {
		if line := s.Logged(t, text, 1); line["level"] != "WARN" || !strings.HasSuffix(fmt.Sprint(line["error"]), " left: store.reserve is 900 TiB") {
			t.Errorf("the log has %v", line)
		}
	}
	if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, nil); status != http.StatusOK {
		t.Errorf("a revocation, for which there is room: HTTP %d", status)
	}
}

// The commands for a store that no broker uses.
func TestStoreCommands(t *testing.T) {
	const key, other = "this is the key of the directory", "this is another key, not its own"
	dir := filepath.Join(t.TempDir(), "store")
	s := serve(t, []string{"HOOFBEAT_STORE_KEY=" + key}, "--store-dir", dir)
	busy := run(t, 1, []string{"HOOFBEAT_STORE_KEY=" + key}, "store", "check", "--store-dir", dir)
	if text := busy.Stderr(); !strings.Contains(text, "is used by another process") {
		t.Errorf("while a broker runs: %q", text)
	}
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	for _, c := range []struct {
		code int
		env  []string
		args []string
		want string
	}{
		{0, []string{"HOOFBEAT_STORE_KEY=" + key}, []string{"check", "--store-dir", dir}, dir + ": format 1, node "},
		{2, nil, []string{"check", "--store-dir", dir}, "store.key: the directory is encrypted, but no key is given"},
		{2, nil, []string{"check"}, "hoofbeat: store.dir: is not set"},
		{1, nil, []string{"check", "--store-dir", "/nonexistent"}, "hoofbeat: command line: store.dir: /nonexistent is not a directory"},
		{2, []string{"HOOFBEAT_STORE_KEY=" + other}, []string{"rekey", "--store-dir", dir}, "store.old_key: is not set"},
		{2, []string{"HOOFBEAT_STORE_KEY=" + other, "HOOFBEAT_STORE_OLD_KEY=" + strings.ToUpper(other)}, []string{"rekey", "--store-dir", dir}, "neither this one nor the old one"},
		{0, []string{"HOOFBEAT_STORE_KEY=" + other, "HOOFBEAT_STORE_OLD_KEY=" + key}, []string{"rekey", "--store-dir", dir}, dir + " is encrypted with store.key now: remove store.old_key"},
		{0, []string{"HOOFBEAT_STORE_KEY=" + other, "HOOFBEAT_STORE_OLD_KEY=" + key}, []string{"rekey", "--store-dir", dir}, "already"},
		{2, []string{"HOOFBEAT_STORE_KEY=" + key}, []string{"check", "--store-dir", dir}, "encrypted with another key"},
		{0, []string{"HOOFBEAT_STORE_KEY=" + other}, []string{"check", "--store-dir", dir}, ", encrypted\n"},
	} {
		p := run(t, c.code, c.env, append([]string{"store"}, c.args...)...)
		if text := p.Stdout() + p.Stderr(); !strings.Contains(text, c.want) || strings.Contains(text, key) || strings.Contains(text, other) {
			t.Errorf("store %v with %q: %q, want %q", c.args, c.env, text, c.want)
		}
	}
}
