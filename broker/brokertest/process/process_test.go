//go:build unix

package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(leaves) != "" {
		os.Exit(m.Run()) // the parent removes the binary
	}
	os.Exit(Main(m))
}

// alive reports whether the broker answers within d.
func alive(s *Server, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addresses["listen"]+"/livez", nil)
	if err != nil {
		panic(err)
	}
	res, err := new(http.Transport).RoundTrip(r)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	s := Serve(t, Options{Restartable: true})
	if !alive(s, testkit.Patience) {
		t.Fatal("it does not answer")
	}
	s.Kill(t)
	if alive(s, testkit.Patience) {
		t.Fatal("it answers after kill -9")
	}
	again := s.Restart(t)
	if again.URL != s.URL || again.Admin != s.Admin || again.TCP != s.TCP || s.URL == "" || s.Admin == "" || s.TCP == "" {
		t.Errorf("it is at %v, was at %v", again.Addresses, s.Addresses)
	}
	if !alive(again, testkit.Patience) {
		t.Error("it does not answer")
	}
	again.Stop(t)
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	s := Serve(t, Options{})
	s.Freeze(t)
	brokertest.Eventually(t, "it is frozen", func() bool { return state(t, s.Pid()) == "T" })
	if alive(s, 100*time.Millisecond) {
		t.Error("it answers although it is frozen")
	}
	if c, err := net.Dial("tcp", s.Addresses["listen"]); err != nil {
		t.Errorf("the kernel does not accept for it: %v", err)
	} else {
		_ = c.Close()
	}
	s.Thaw(t)
	if !alive(s, testkit.Patience) {
		t.Error("it does not answer")
	}
	s.Freeze(t)
	s.Kill(t)
}

// state returns the state letter from /proc, or from ps where there is no
// /proc.
func state(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if err != nil || len(out) == 0 {
		return ""
	}
	return strings.TrimSpace(string(out))[:1]
}

const leaves = "HOOFBEAT_TEST_LEAVES_A_PROCESS"

// A killed test leaves no broker behind.
func TestNothingOutlivesTheTest(t *testing.T) {
	if binary := os.Getenv(leaves); binary != "" { // this is the test that is killed
		s := Serve(t, Options{Binary: binary})
		fmt.Printf("pid %d\n", s.Pid())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		testkit.Receive(t, s.Done())
	}
	if diesWithUs() == nil {
		t.Skip("needs PR_SET_PDEATHSIG, which is in Linux only")
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	// A killed test removes no folder: this one removes them.
	cmd.Env = append(os.Environ(), leaves+"="+Binary(t), "TMPDIR="+t.TempDir())
	out, err := cmd.Output()
	var pid int
	if _, scan := fmt.Sscanf(string(out), "pid %d", &pid); scan != nil || err == nil {
		t.Fatalf("the other test said %q and ended with %v", out, err)
	}
	brokertest.Eventually(t, "its broker has ended", func() bool {
		st := state(t, pid)
		return st == "" || st == "Z"
	})
}

func TestLogAndOutput(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{Args: []string{"version"}})
	p.Exit(t, 0)
	if p.Stdout() == "" || p.Stderr() != "" {
		t.Errorf("it wrote %q and %q", p.Stdout(), p.Stderr())
	}
	s := Serve(t, Options{Env: []string{"HOOFBEAT_TCP=off"}})
	if s.TCP != "" || s.Addresses["tcp"] != "" {
		t.Errorf("it listens at %v", s.Addresses)
	}
	if n := len(s.Log("ready")); n != 1 {
		t.Errorf("it is ready %d times", n)
	}
}
