//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

// E-8, W-10: a page waits in Chromium, its broker is killed with kill -9 and
// started again, and the page gets its result, whether the person answers
// before, during or after the outage. The authorization server announces each
// operation once. What runs are the commands of README.md.
func TestE8PageOutlivesItsBroker(t *testing.T) {
	e2e.Need(t, "../node_modules/@stomp/stompjs", install)
	e2e.Need(t, "../node_modules/playwright-core", install)
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	s := newShell(t)
	s.kill, s.start = s.block("kill -9"), s.block(`"$demo/hoofbeat"`)
	s.run(s.block("demo="))
	s.dir = s.run(`echo "$demo"`)
	for _, place := range []string{"8080/readyz", "8094/"} {
		if err := s.ready(place); err != nil {
			t.Fatal(err)
		}
	}
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.control(r.URL.Path); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(control.Close)
	scenarios := []string{"killed-before", "killed-during", "killed-after"}
	demos := make(map[string]map[string]string)
	for _, scenario := range scenarios {
		demos[scenario] = map[string]string{"app": s.url("8094"), "provider": s.url("8095"), "control": control.URL}
	}
	argument, err := json.Marshal(demos)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"LANES=1", "node", "browser.mjs", string(argument)}
	if dir := os.Getenv("SCREENSHOT"); dir != "" {
		args = append(args, dir)
	}
	ended := 0
	for line := range strings.Lines(e2e.Run(t, "install Node.js", "env", args...)) {
		var report struct{ Scenario, Error string }
		if err := json.Unmarshal([]byte(line), &report); err != nil || report.Error != "" {
			t.Errorf("it printed %q", line)
		}
		ended++
	}
	if ended != len(scenarios) {
		t.Errorf("%d of %d scenarios ended", ended, len(scenarios))
	}
	log := s.file("broker.log")
	if t.Failed() { // README.md's last command removes it
		t.Logf("broker.log\n%s", log)
	}
	if n := strings.Count(log, announcement); n != len(scenarios) {
		t.Errorf("%d announcements of %d operations", n, len(scenarios))
	}
	if n := s.run(s.block("grep -c")); n != strconv.Itoa(len(scenarios)) {
		t.Errorf("the command of README.md counts %q", n)
	}
	for _, text := range []string{log, s.file("sites.log")} {
		if m := regexp.MustCompile(`v1\.main\.[\w-]+`).FindString(text); m != "" {
			t.Errorf("a ticket of %d characters is in a log", len(m))
		}
	}
	s.run(s.block("kill $broker $sites"))
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the last command of README.md leaves %s: %v", s.dir, err)
	}
}

// announcement is the log's line of one, and reported that of a result.
const announcement = `"method":"PUT","path":"/api/v1/operations/`

var reported = regexp.MustCompile(`"method":"POST","path":"/api/v1/operations/[^"]*/result","status":200`)

// shell is a bash that runs commands of README.md in the directory of the
// repository, on a loopback address of its own instead of 127.0.0.1.
type shell struct {
	t      *testing.T
	host   string
	blocks []string
	dir    string // $demo
	kill   string // the commands for the broker
	start  string
	in     io.WriteCloser
	out    chan string // its lines
	ended  chan error
}

// shellPatience is for commands that build on a busy machine.
const shellPatience = 4 * time.Minute

func newShell(t *testing.T) *shell {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, host: testkit.Loopback(), out: make(chan string, 100), ended: make(chan error, 1)}
	for _, m := range regexp.MustCompile("(?sm)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
		s.blocks = append(s.blocks, m[1])
	}
	bash := exec.Command("bash", "-e")
	bash.Dir = "../.."
	others := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HOOFBEAT_") })
	bash.Env = append(others, "TMPDIR="+t.TempDir(), "HOOFBEAT_LISTEN="+s.host+":8080", "HOOFBEAT_ADMIN="+s.host+":8081")
	var complaints syncBuffer
	bash.Stderr = &complaints
	if s.in, err = bash.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := bash.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.out <- lines.Text()
		}
		s.ended <- bash.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("bash\n%s\nbroker.log\n%s\nsites.log\n%s", complaints.String(), s.file("broker.log"), s.file("sites.log"))
		}
		_ = s.in.Close() // it may have ended; otherwise it ends now, also if this process is killed
		testkit.Receive(t, s.ended)
	})
	s.run("trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT")
	return s
}

// block returns the only block of README.md that begins with a text, for the
// shell's address.
func (s *shell) block(text string) string {
	s.t.Helper()
	var found []string
	for _, b := range s.blocks {
		if strings.HasPrefix(b, text) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("README.md has %d blocks with %q", len(found), text)
	}
	b := strings.ReplaceAll(found[0], "127.0.0.1", s.host)
	return strings.ReplaceAll(b, `"$demo/approval"`, fmt.Sprintf(`"$demo/approval" -app %s:8094 -provider %[1]s:8095`, s.host))
}

// try runs commands and returns what they have printed.
func (s *shell) try(commands string) (string, error) {
	const done = "these commands have ended"
	if _, err := io.WriteString(s.in, commands+"\necho "+done+"\n"); err != nil {
		return "", err
	}
	late := time.NewTimer(shellPatience)
	defer late.Stop()
	var printed []string
	for {
		select {
		case line := <-s.out:
			if line == done {
				return strings.Join(printed, "\n"), nil
			}
			printed = append(printed, line)
		case err := <-s.ended:
			return "", fmt.Errorf("the shell has ended with %v in %s", err, commands)
		case <-late.C:
			return "", fmt.Errorf("this takes longer than %v: %s", shellPatience, commands)
		}
	}
}

func (s *shell) run(commands string) string {
	s.t.Helper()
	printed, err := s.try(commands)
	if err != nil {
		s.t.Fatal(err)
	}
	return printed
}

func (s *shell) url(port string) string { return "http://" + s.host + ":" + port }

// ready waits for an answer with 200.
func (s *shell) ready(place string) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(s.url(place))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
}

// file returns the content of a file of the commands, if it is there.
func (s *shell) file(name string) string {
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// control does what browser.mjs asks for.
func (s *shell) control(what string) error {
	switch what {
	case "/kill":
		_, err := s.try(s.kill + "\nwait $broker || true") // it has left its address
		return err
	case "/start":
		if _, err := s.try(s.start); err != nil {
			return err
		}
		return s.ready("8080/readyz")
	case "/reported":
		for end := time.Now().Add(patience); !reported.MatchString(s.file("broker.log")); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("no result was reported")
			}
		}
		return nil
	}
	return errors.New("there is no such command")
}
