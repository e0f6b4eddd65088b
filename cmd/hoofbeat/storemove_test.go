//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

const (
	passphrase     = "a passphrase of the export"
	passphraseLine = "HOOFBEAT_EXPORT_PASSPHRASE=" + passphrase
)

// piped starts hoofbeat with its standard streams.
func piped(t *testing.T, in io.Reader, out io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(process.Binary(t), args...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return cmd
}

// largeStore returns a directory with 8 MiB of messages.
func largeStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "large")
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LARGE", Subjects: []string{"large"}, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{}) // the export compresses everything else
	text := make([]byte, 1<<20)
	for range 8 {
		_, _ = random.Read(text) // never fails
		if _, err := js.Publish(t.Context(), "large", text); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a broker keeps moves to another directory, with another key: an unused
// ticket is good once, a used one is not, and a wait goes on.
func TestAStoreMovesToAnotherDirectory(t *testing.T) {
	const key, other = "HOOFBEAT_STORE_KEY=this is the key of the directory", "HOOFBEAT_STORE_KEY=this is the key of the new directory"
	env := []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h", "HOOFBEAT_WEBFLOW_TTL=1h", "HOOFBEAT_ADMIN_TOKEN=" + testToken}
	base := t.TempDir()
	from, to, file := filepath.Join(base, "from"), filepath.Join(base, "to"), filepath.Join(base, "backup.age")
	s := serve(t, append(env, key), "--store-dir", from)
	unused, used := adminTicket(t, s, `{"user":"ann"}`), adminTicket(t, s, `{"user":"bob"}`)
	connectAs(t, "bob", s.url+"?ticket="+used, client.Options{})
	announce(t, s, "login-1", `{}`)
	if status := s.call(t, "POST", "/api/v1/messages", `{"destination":"/queue/orders","body":"kept"}`, nil); status != http.StatusAccepted {
		t.Fatalf("a message: HTTP %d", status)
	}
	busy := run(t, 1, []string{key, passphraseLine}, "store", "export", "--store-dir", from, file)
	if text := busy.Stderr(); !strings.Contains(text, "is used by another process") {
		t.Errorf("while a broker runs: %q", text)
	}
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	p := run(t, 0, []string{key, passphraseLine}, "store", "export", "--store-dir", from, file)
	if text := p.Stdout(); !strings.HasPrefix(text, file+": 5 streams, ") || !strings.HasSuffix(text, " bytes, encrypted\n") {
		t.Errorf("export says %q", text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, err := os.ReadDir(base); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v: want the store and the export", entries, err)
	}
	p = run(t, 0, []string{other, passphraseLine}, "store", "import", "--store-dir", to, file)
	if text := p.Stdout(); !strings.HasPrefix(text, to+": 5 streams, ") || !strings.HasSuffix(text, ", encrypted with store.key\n") {
		t.Errorf("import says %q", text)
	}
	s = serve(t, append(env, other), "--store-dir", to)
	connectAs(t, "ann", s.url+"?ticket="+unused, client.Options{})
	for _, ticket := range []string{unused, used} {
		if conn, err := dial(t, s.url+"?ticket="+ticket, client.Options{}); err == nil {
			t.Errorf("a used ticket connects %s", conn.Header().Get("user-name"))
		}
	}
	if status := s.call(t, "GET", "/api/v1/operations/login-1", "", nil); status != http.StatusOK {
		t.Errorf("the operation: HTTP %d", status)
	}
	var st struct {
		Messages int `json:"queue_messages"`
	}
	if s.call(t, "GET", "/api/v1/stats", "", &st); st.Messages != 1 {
		t.Errorf("the queues have %d messages", st.Messages)
	}
}

// A running broker is exported while it hands out tickets. Each ticket that was
// handed out before is in the export.
func TestARunningBrokerIsExported(t *testing.T) {
	env := []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h"}
	s := serveKept(t, env)
	base := t.TempDir()
	file, to := filepath.Join(base, "backup.age"), filepath.Join(base, "to")
	var before []string
	for range 5 {
		before = append(before, adminTicket(t, s, `{"user":"ann"}`))
	}
	token := "HOOFBEAT_ADMIN_TOKEN=" + testToken
	for _, c := range []struct {
		code int
		env  []string
		from string
		want string
	}{
		{3, []string{passphraseLine, "HOOFBEAT_ADMIN_TOKEN=wrong-wrong-wrong"}, s.admin, "HTTP 401"},
		{1, []string{passphraseLine, token}, "http://127.0.0.1:1", "cannot be reached"},
		{2, []string{passphraseLine, token}, "127.0.0.1:1", "the URL of the admin API: want one such as"},
		{2, []string{token}, s.admin, "the passphrase is missing"},
		{0, []string{passphraseLine, token}, s.admin, file + ": 5 streams, "},
	} {
		p := run(t, c.code, c.env, "store", "export", "--from", c.from, file)
		if text := p.Stdout() + p.Stderr(); !strings.Contains(text, c.want) {
			t.Errorf("from %s with %q: %q, want %q", c.from, c.env, text, c.want)
		}
	}
	s.Logged(t, "the store was exported", 1)
	connectAs(t, "ann", s.url+"?ticket="+adminTicket(t, s, `{"user":"ann"}`), client.Options{}) // it goes on
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	run(t, 0, []string{passphraseLine}, "store", "import", "--store-dir", to, file)
	moved := serve(t, append(env, token), "--store-dir", to)
	for _, ticket := range before {
		connectAs(t, "ann", moved.url+"?ticket="+ticket, client.Options{})
	}
	without := serve(t, []string{token})
	p := run(t, 1, []string{passphraseLine, token}, "store", "export", "--from", without.admin, filepath.Join(base, "none"))
	if text := p.Stderr(); !strings.Contains(text, "this broker has no store on disk") {
		t.Errorf("without a store: %q", text)
	}
}

func TestWhatExportAndImportRefuse(t *testing.T) {
	base := t.TempDir()
	from, to, file, plain := filepath.Join(base, "from"), filepath.Join(base, "to"), filepath.Join(base, "backup.age"), filepath.Join(base, "backup.tar")
	s := serve(t, nil, "--store-dir", from)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	run(t, 0, []string{passphraseLine}, "store", "export", "--store-dir", from, file)
	run(t, 0, nil, "store", "export", "--store-dir", from, "--plain", plain)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut, changed := filepath.Join(base, "cut"), filepath.Join(base, "changed")
	wrong := bytes.Clone(data)
	wrong[len(wrong)-100] ^= 1
	secret, open := filepath.Join(base, "secret.txt"), filepath.Join(base, "open.txt")
	if err := errors.Join(
		os.WriteFile(cut, data[:len(data)-100], 0o600), os.WriteFile(changed, wrong, 0o600),
		os.WriteFile(secret, []byte(passphrase+"\n"), 0o600), os.WriteFile(open, []byte(passphrase+"\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		env  string
		args []string
		want string
	}{
		{2, "", []string{"export", "--store-dir", from, filepath.Join(base, "new")}, "the passphrase is missing: give --passphrase-file or HOOFBEAT_EXPORT_PASSPHRASE, or --plain"},
		{2, "HOOFBEAT_EXPORT_PASSPHRASE=short", []string{"export", "--store-dir", from, filepath.Join(base, "new")}, "the passphrase has 5 bytes: want 12 to 4096"},
		{2, passphraseLine, []string{"export", "--store-dir", from, file}, file + " exists: an export does not replace a file"},
		{2, passphraseLine, []string{"export", "--store-dir", from}, "FILE is missing"},
		{2, passphraseLine, []string{"export", filepath.Join(base, "new")}, "store.dir: is not set"},
		{1, passphraseLine, []string{"export", "--store-dir", to, filepath.Join(base, "new")}, to + " is not a directory"},
		{1, passphraseLine, []string{"export", "--store-dir", from, filepath.Join(base, "no", "new")}, "no such file or directory"},
		{2, "", []string{"import", "--store-dir", to, file}, "the export is encrypted: give its passphrase with --passphrase-file or HOOFBEAT_EXPORT_PASSPHRASE"},
		{2, "", []string{"import", "--store-dir", to, "--plain", file}, "the export is encrypted: give its passphrase"},
		{1, passphraseLine + "!", []string{"import", "--store-dir", to, file}, "the passphrase is wrong"},
		{1, passphraseLine, []string{"import", "--store-dir", to, plain}, "the file is not encrypted, or it is no export: give --plain"},
		{1, passphraseLine, []string{"import", "--store-dir", to, cut}, "the export is damaged or truncated: use another copy"},
		{1, passphraseLine, []string{"import", "--store-dir", to, changed}, "the export is damaged or truncated: use another copy"},
		{1, passphraseLine, []string{"import", "--store-dir", to, filepath.Join(base, "missing")}, "no such file"},
		{1, passphraseLine, []string{"import", "--store-dir", from, file}, from + " has a store already: import into an empty directory. Nothing was changed"},
		{1, "", []string{"import", "--store-dir", to, "--passphrase-file", open, file}, "open.txt"},
		{0, "", []string{"import", "--store-dir", to, "--passphrase-file", secret, file}, to + ": 5 streams"},
		{0, "", []string{"import", "--store-dir", to + "2", "--plain", plain}, to + "2: 5 streams"},
	} {
		var env []string
		if c.env != "" {
			env = append(env, c.env)
		}
		p := run(t, c.code, env, append([]string{"store"}, c.args...)...)
		if text := p.Stdout() + p.Stderr(); !strings.Contains(text, c.want) || strings.Contains(text, passphrase) {
			t.Errorf("store %v with %q: %q, want %q", c.args, c.env, text, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(base, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an export that was refused left a file: %v", err)
	}
}

// An export that was killed leaves its source as it was, and what it has
// written is not accepted.
func TestAnExportIsKilled(t *testing.T) {
	from, to := largeStore(t), filepath.Join(t.TempDir(), "to")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := piped(t, nil, w, "store", "export", "--store-dir", from, "--plain", "-")
	_ = w.Close() // it has its own
	var part bytes.Buffer
	if _, err := io.CopyN(&part, r, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it has ended before it was killed")
	}
	if _, err := io.Copy(&part, r); err != nil {
		t.Fatal(err)
	}
	file := write(t, "part", part.String())
	p := run(t, 1, nil, "store", "import", "--store-dir", to, "--plain", file)
	if text := p.Stderr(); !strings.Contains(text, "the export is truncated") {
		t.Errorf("import says %q", text)
	}
	run(t, 0, nil, "store", "check", "--store-dir", from)
}

// Whatever an import that was killed has left, no broker uses it, and the next
// import replaces it.
func TestAnImportIsKilled(t *testing.T) {
	from, to := largeStore(t), filepath.Join(t.TempDir(), "to")
	file := filepath.Join(t.TempDir(), "backup.tar")
	run(t, 0, nil, "store", "export", "--store-dir", from, "--plain", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []int{2, 3} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := piped(t, r, nil, "store", "import", "--store-dir", to, "--plain", "-")
		_ = r.Close() // it has its own
		if _, err := w.Write(data[:len(data)/4*part]); err != nil {
			t.Fatal(err)
		}
		brokertest.Eventually(t, "the engine has written something", func() bool {
			blocks, err := filepath.Glob(filepath.Join(to, "jetstream/$G/streams/LARGE/msgs/*.blk"))
			return err == nil && len(blocks) > 0
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("it has ended before it was killed")
		}
		_ = w.Close() // nobody reads it any more
		p := run(t, 1, []string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=off"}, "serve", "--store-dir", to)
		if text := p.Stderr(); !strings.Contains(text, "store.dir: an import into "+to+" has not been completed: run `hoofbeat store import` again") {
			t.Errorf("serve says %q", text)
		}
	}
	p := run(t, 0, nil, "store", "import", "--store-dir", to, "--plain", file)
	if text := p.Stdout(); !strings.HasPrefix(text, to+": 1 stream, 8 messages, ") {
		t.Errorf("import says %q", text)
	}
	check := run(t, 0, nil, "store", "check", "--store-dir", to)
	if text := check.Stdout(); !strings.Contains(text, "LARGE: 8 messages, ") || !strings.Contains(text, "numbers 1 to 8") {
		t.Errorf("check says %q", text)
	}
}

// A reader or writer that pauses for longer than the engine waits breaks
// nothing.
func TestExportAndImportArePatient(t *testing.T) {
	t.Parallel()
	const pause = 8 * time.Second // the engine gives up after five
	from, to := largeStore(t), filepath.Join(t.TempDir(), "to")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	export := piped(t, nil, w, "store", "export", "--store-dir", from, "--plain", "-")
	_ = w.Close()     // it has its own
	time.Sleep(pause) // nobody reads: that is what is tested
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Wait(); err != nil {
		t.Fatal(err)
	}
	r, w, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	imported := piped(t, r, nil, "store", "import", "--store-dir", to, "--plain", "-")
	_ = r.Close() // it has its own
	if _, err := w.Write(data[:len(data)/2]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause) // nobody writes
	if _, err := w.Write(data[len(data)/2:]); err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // a failed write is an error of Wait
	if err := imported.Wait(); err != nil {
		t.Fatal(err)
	}
}
