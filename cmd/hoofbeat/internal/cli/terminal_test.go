//go:build linux

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// openTerminal returns the two ends of a pseudo terminal: what a person types
// into, and what the command has as standard input.
func openTerminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

// answer types a line once the command has asked.
func answer(t *testing.T, c *command, keyboard io.Writer, prompt, line string) {
	t.Helper()
	brokertest.Eventually(t, prompt, func() bool { return strings.HasSuffix(c.err.String(), prompt) })
	if _, err := io.WriteString(keyboard, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func TestPasswdAsksTwice(t *testing.T) {
	keyboard, tty := openTerminal(t)
	c := start(t, tty, nil, "passwd")
	answer(t, c, keyboard, "New passcode: ", "hunter2")
	answer(t, c, keyboard, "Once more: ", "hunter2")
	c.wait(t, exitOK)
	if err := bcrypt.CompareHashAndPassword([]byte(strings.TrimSpace(c.out.String())), []byte("hunter2")); err != nil {
		t.Errorf("%q: %v", c.out.String(), err)
	}
	c = start(t, tty, nil, "passwd")
	answer(t, c, keyboard, "New passcode: ", "hunter2")
	answer(t, c, keyboard, "Once more: ", "hunter3")
	contains(t, "passwd", c.wait(t, exitFailure).err.String(), "the passcodes differ")
}

func TestLoginAsksForPasscode(t *testing.T) {
	s := newServer(t, broker.Options{})
	keyboard, tty := openTerminal(t)
	c := start(t, tty, nil, "pub", "-u", s.URL, "--login", "ann", "/topic/a", "b")
	answer(t, c, keyboard, "Passcode of ann: ", "hunter2")
	c.wait(t, exitOK)
	if got, want := s.login(), [2]string{"ann", "hunter2"}; got != want {
		t.Errorf("login and passcode %q, want %q", got, want)
	}
}

// On a terminal, what destroys asks for the name of what it destroys.
func TestDestroyingAsks(t *testing.T) {
	for _, c := range []struct {
		args               []string
		name, typo, prompt string
		left               func(broker.Stats) int
	}{
		{[]string{"queues", "purge"}, "/queue/jobs", "yes", "This removes 2 messages from /queue/jobs.\nType the name of the queue to go on: ", func(s broker.Stats) int { return s.QueueMessages }},
		{[]string{"history", "rm"}, "/topic/chat/lobby", "/topic/chat/lobbi", "This removes 2 messages of /topic/chat/lobby.\nType the name of the topic to go on: ", func(s broker.Stats) int { return s.HistoryMessages }},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			b, env := withAdmin(t, historyOptions())
			put(t, b, c.name, "1", "2")
			keyboard, tty := openTerminal(t)
			run := start(t, tty, env, append(c.args, c.name)...)
			answer(t, run, keyboard, c.prompt, c.typo)
			contains(t, c.args[1], run.wait(t, exitFailure).err.String(), "nothing was removed: the name differs")
			if n := c.left(b.Stats()); n != 2 {
				t.Errorf("%d messages are left", n)
			}
			run = start(t, tty, env, append(c.args, c.name)...)
			answer(t, run, keyboard, c.prompt, c.name)
			if got := run.wait(t, exitOK).out.String(); got != "2 removed\n" {
				t.Errorf("it prints %q", got)
			}
		})
	}
}
