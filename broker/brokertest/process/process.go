//go:build unix

package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Options configures a process.
type Options struct {
	// Binary is the path of the program. Default: [Binary].
	Binary string
	// Args are the program's arguments.
	Args []string
	// Env is the program's environment. It inherits nothing from the test.
	// Default of HOME: a new directory.
	Env []string
	// Dir is the working directory. Default: that of the test.
	Dir string
	// Restartable makes [Serve] listen on a loopback address that no other test
	// uses, so that no other program takes its ports before [Server.Restart].
	Restartable bool
}

// Process is a running or finished program. Its methods are safe for concurrent
// use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	out  Output

	mu    sync.Mutex
	lines []map[string]any // log entries, from standard error
	err   strings.Builder  // standard error, unparsed
}

// Output collects what a process writes, and can be read meanwhile.
type Output struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns the output so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a process. The test's cleanup kills it and, if the test failed,
// logs its output.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	if o.Binary == "" {
		o.Binary = Binary(t)
	}
	p := &Process{cmd: exec.Command(o.Binary, o.Args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"HOME=" + t.TempDir()}, o.Env...)
	p.cmd.Dir = o.Dir
	p.cmd.Stdout = &p.out
	p.cmd.SysProcAttr = diesWithUs()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go p.run(stderr, started)
	if err := testkit.Receive(t, started); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails if the process has ended
		testkit.Receive(t, p.done)
		if t.Failed() {
			t.Logf("hoofbeat %s\nout: %s\nerr: %s", strings.Join(o.Args, " "), p.Stdout(), p.Stderr())
		}
	})
	return p
}

// run starts the process and keeps the thread that did so until the process
// ends, because the kernel kills the process with that thread.
func (p *Process) run(stderr io.Reader, started chan<- error) {
	runtime.LockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	defer close(p.done)
	p.read(stderr)
	_ = p.cmd.Wait() // the exit code is in ProcessState
}

func (p *Process) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 32<<20) // a dump of all goroutines is one line
	for lines.Scan() {
		var entry map[string]any
		err := json.Unmarshal(lines.Bytes(), &entry)
		p.mu.Lock()
		fmt.Fprintln(&p.err, lines.Text())
		if err == nil {
			p.lines = append(p.lines, entry)
		}
		p.mu.Unlock()
	}
}

// Stdout returns the standard output so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr returns the standard error so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// Log returns the log entries with this message.
func (p *Process) Log(message string) []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.lines), func(e map[string]any) bool { return e["msg"] != message })
}

// Logged waits for the nth log entry with this message, and returns it.
func (p *Process) Logged(t testing.TB, message string, n int) map[string]any {
	t.Helper()
	brokertest.Eventually(t, "the log says "+message, func() bool {
		select {
		case <-p.done:
			if len(p.Log(message)) < n {
				t.Fatalf("hoofbeat has ended with %d before it logged %q\n%s", p.cmd.ProcessState.ExitCode(), message, p.Stderr())
			}
		default:
		}
		return len(p.Log(message)) >= n
	})
	return p.Log(message)[n-1]
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exit waits for the end of the process and checks its exit code.
func (p *Process) Exit(t testing.TB, want int) {
	t.Helper()
	testkit.Receive(t, p.done)
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d\n%s", got, want, p.Stderr())
	}
}

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Kill sends SIGKILL and waits until the process is gone, even if it was
// frozen.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGKILL)
	testkit.Receive(t, p.done)
}

// Stop sends SIGTERM, waits for the end, and checks that the exit code is 0.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	p.Exit(t, 0)
}

// Freeze stops all threads of the process. Its sockets stay open but do not
// answer.
func (p *Process) Freeze(t testing.TB) { t.Helper(); p.Signal(t, syscall.SIGSTOP) }

// Thaw resumes a frozen process.
func (p *Process) Thaw(t testing.TB) { t.Helper(); p.Signal(t, syscall.SIGCONT) }
