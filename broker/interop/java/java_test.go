package java_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/internal/script"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// driverDeadline is for the driver as a whole.
const driverDeadline = 4 * time.Minute

// quick is the heart-beat interval where the driver waits for heart-beats:
// short, but a Java program on a busy machine still keeps it.
const quick = 400 * time.Millisecond

// classPath is what StompConnection needs of libactivemq-java: itself and, in
// the other jar, the commands that its frames implement.
var classPath = []string{"/usr/share/java/activemq-stomp.jar", "/usr/share/java/activemq-client.jar"}

// TestActiveMQStompConnection is ActiveMQ's StompConnection over TCP, and over
// WebSocket by way of a bridge.
func TestActiveMQStompConnection(t *testing.T) {
	run := driver(t)
	t.Run("TCP", func(t *testing.T) {
		t.Parallel()
		plain, fast := start(t, broker.Options{}), start(t, quickly())
		run(t, plain.TCP, fast.TCP, millis(quick))
	})
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		// StompConnection reads content-length, unlike the clients of old pages.
		plain, fast := start(t, broker.Options{Limits: broker.Limits{NUL: broker.NULPass}}), start(t, quickly())
		near, far := bridgeTo(t, plain.URL), bridgeTo(t, fast.URL)
		run(t, near.Addr, far.Addr, millis(quick), "pinged")
		near.wantCuts(t)
	})
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func quickly() broker.Options {
	return broker.Options{HeartBeat: frames.HeartBeat{Send: quick, Receive: quick}}
}

// start starts a broker that lets in alice with her passcode, and nobody to
// /topic/forbidden.
func start(t *testing.T, o broker.Options) *brokertest.Server {
	t.Helper()
	hash, err := users.Hash("secret", users.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if o.Authenticator, err = users.New([]users.User{{Name: "alice", Hash: hash}}); err != nil {
		t.Fatal(err)
	}
	if o.Authorizer, err = auth.Open().Prepend(auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/forbidden"}); err != nil {
		t.Fatal(err)
	}
	return brokertest.Start(t, o)
}

// driver compiles the driver and returns what runs it.
func driver(t *testing.T) func(t *testing.T, args ...string) {
	t.Helper()
	javac, err := exec.LookPath("javac")
	script.Requires(t, err == nil, "javac", "apt-get install default-jdk-headless")
	java, err := exec.LookPath("java")
	script.Requires(t, err == nil, "java", "apt-get install default-jdk-headless")
	for _, jar := range classPath {
		_, err := os.Stat(jar)
		script.Requires(t, err == nil, jar, "apt-get install libactivemq-java")
	}
	dir := t.TempDir()
	path := strings.Join(append(classPath, dir), string(filepath.ListSeparator))
	ctx, cancel := context.WithTimeout(t.Context(), driverDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, javac, "-encoding", "UTF-8", "-cp", path, "-d", dir, "Driver.java", "Session.java", "Report.java")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return func(t *testing.T, args ...string) {
		t.Helper()
		// StompConnection encodes bodies in the encoding of the platform.
		script.Run(t, driverDeadline, append([]string{java, "-Xmx128m", "-Dfile.encoding=UTF-8", "-cp", path, "Driver"}, args...)...)
	}
}
