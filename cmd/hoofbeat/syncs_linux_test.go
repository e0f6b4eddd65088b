package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// with sync: always each confirmation comes after a sync of the file that
// has what is confirmed, counted with strace. A sync that fails is no sync. With
// an interval there are confirmations without one, or nothing would be counted.
func TestX15SyncBeforeEachReceipt(t *testing.T) {
	t.Parallel()
	strace := needs(t, "strace", "apt-get install strace")
	conf := write(t, "hoofbeat.yaml", "rules:\n  - {allow: [send], destination: /queue/**, roles: [worker]}\n")
	for mode, want := range map[string]bool{"always": true, "10s": false} {
		dir := filepath.Join(t.TempDir(), "store")
		s := serveWith(t, process.Options{Env: []string{
			"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken,
		}, Args: []string{"-c", conf, "--store-dir", dir, "--store-sync", mode}})
		conn := connectAs(t, "worker", s.url+"?ticket="+adminTicket(t, s, `{"user":"worker","roles":["worker"]}`), client.Options{})
		trace := filepath.Join(t.TempDir(), "trace")
		attach(t, strace, s.Pid(), trace)
		unsynced := 0
		for n := range 20 {
			for _, request := range []struct{ stream, method, path, body string }{
				{"KV_HB_TICKET", "POST", "/api/v1/tickets", fmt.Sprintf(`{"user":"u%d"}`, n)},
				{"KV_HB_STATE", "PUT", fmt.Sprintf("/api/v1/operations/o%d", n), `{}`},
				{"KV_HB_STATE", "POST", fmt.Sprintf("/api/v1/operations/o%d/result", n), `{"result":"CONFIRMED"}`},
				{"KV_HB_AUTH", "POST", "/api/v1/revocations", fmt.Sprintf(`{"user":"gone%d"}`, n)},
				{"HB_QUEUE", "SEND", "/queue/work", "a message"},
			} {
				before := syncs(t, trace, request.stream)
				if request.method == "SEND" {
					if err := conn.Send(request.path, "text/plain", []byte(request.body), stomp.SendOpt.Receipt); err != nil {
						t.Fatal(err)
					}
				} else if status := s.call(t, request.method, request.path, request.body, nil); status/100 != 2 {
					t.Fatalf("%s: HTTP %d", request.path, status)
				}
				// strace writes what it has seen before the process goes on.
				if syncs(t, trace, request.stream) == before {
					unsynced++
					if want {
						t.Errorf("%s %s is confirmed without a sync of %s", request.method, request.path, request.stream)
					}
				}
			}
		}
		t.Logf("sync: %s: %d of 100 confirmations without a sync", mode, unsynced)
		if !want && unsynced == 0 {
			t.Errorf("sync: %s syncs before each confirmation", mode)
		}
	}
}

// attach has strace write each sync of a process into a file, until the test
// ends.
func attach(t *testing.T, strace string, pid int, trace string) {
	t.Helper()
	cmd := exec.Command(strace, "-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, "-p", strconv.Itoa(pid))
	var complaints process.Output
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // it is killed
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	traced := regexp.MustCompile(`(?m)^TracerPid:\s+` + strconv.Itoa(cmd.Process.Pid) + `$`)
	brokertest.Eventually(t, "strace is attached", func() bool {
		select {
		case <-ended:
			t.Skipf("strace cannot attach here: %s", complaints.String())
		default:
		}
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
			status, err := os.ReadFile(path)
			return err == nil && !traced.Match(status) // a thread may have ended
		})
	})
}

// syncs returns how many syncs of files of a stream have ended well.
func syncs(t *testing.T, trace, stream string) (n int) {
	t.Helper()
	open := make(map[string]bool) // threads in a sync of the stream
	for line := range strings.Lines(readFile(t, filepath.Dir(trace), filepath.Base(trace))) {
		thread, call, _ := strings.Cut(line, " ")
		call = strings.TrimSpace(call)
		of := strings.Contains(call, "/"+stream+"/")
		switch {
		case of && strings.HasSuffix(call, "<unfinished ...>"):
			open[thread] = true
		case (of || open[thread] && strings.HasPrefix(call, "<... f")) && strings.HasSuffix(call, "= 0"):
			n++
			delete(open, thread)
		}
	}
	return n
}
